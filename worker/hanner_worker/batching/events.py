"""Events of tasks, gathered: one message to Redis for all that happened within a few hundredths of a second.

Celery sends a message for every 24 events and one in every turn of the event loop, and waits for Redis each time; with
three events to a text that was half of what the parent did. What an event says, and its time, stay as they were.
"""

import time
from typing import Any

from celery.app.events import Events as CeleryEvents
from celery.events.dispatcher import EventDispatcher
from celery.events.event import group_from
from celery.utils.time import utcoffset

from hanner.utils.json import dumps

EVENT_FLUSH_INTERVAL = 0.05
"""Seconds for which events gather."""
MOST = 2000
"""Events in one message; a worker that makes more in EVENT_FLUSH_INTERVAL seconds sends them sooner."""
GATHERED = frozenset({"task", "hanner"})
"""Groups of events that gather, by how their types begin; those about workers are sent as they come."""


class Announcer(EventDispatcher):  # type: ignore[misc]
    """Celery's dispatcher of events; those that may wait a moment leave together."""

    def __init__(self, *args: Any, **options: Any) -> None:
        if options.get("buffer_group"):
            options |= {"buffer_group": GATHERED, "buffer_limit": MOST}
        super().__init__(*args, **options)
        self._due = False  # a flush is under way
        self._common = self._describe()

    def _describe(self) -> dict[str, Any]:
        return {"hostname": self.hostname, "utcoffset": utcoffset(), "pid": self.pid}

    def send(self, type: str, *args: Any, **fields: Any) -> None:  # noqa: A002 - Celery's signature
        """Send an event, or let it wait for others; see Celery's own."""
        group = group_from(type)
        if args or group not in self.buffer_group or not self.enabled or (self.groups and group not in self.groups):
            super().send(type, *args, **fields)
            return
        waiting = self._group_buffer[group]
        waiting.append(
            {**fields, **self._common, "clock": self.clock.forward(), "timestamp": time.time(), "type": type}
        )
        if len(waiting) >= self.buffer_limit:
            self.flush()
        elif not self._due and self.on_send_buffered is not None:
            self._due = True
            self.on_send_buffered()

    def flush(self, *args: Any, **options: Any) -> None:
        """Send what waits."""
        self._due = False
        self._common = self._describe()  # summer time begins and ends
        super().flush(*args, **options)

    def _publish(self, event: Any, producer: Any, routing_key: str, **options: Any) -> None:
        if producer is None:
            return
        try:
            producer.publish(
                dumps(event),
                content_type="application/json",
                content_encoding="utf-8",
                routing_key=routing_key,
                exchange=self.exchange.name,
                declare=[self.exchange],
                headers=self.headers,
                delivery_mode=self.delivery_mode,
                **options,
            )
        except Exception:
            if not self.buffer_while_offline:
                raise
            self._outbound_buffer.append((event, routing_key))

    def extend_buffer(self, other: Any) -> None:
        """Take over what another could not send, and what waits there."""
        super().extend_buffer(other)
        for group, events in getattr(other, "_group_buffer", {}).items():
            self._group_buffer[group][:0] = events


class Events(CeleryEvents):  # type: ignore[misc]
    """What `app.events` is in a worker."""

    dispatcher_cls = "hanner_worker.batching.events:Announcer"
