"""Celery's event dispatcher with a buffer: one message to Redis for all events of 50 ms. Overrides Celery's internals.

Celery sends a message for every 24 events and one in every turn of the event loop, and waits for Redis each time; with
three events per text that was half of the parent's work. The events themselves, and their times, are unchanged. Events
buffered in a killed worker are lost.

Most of the time no client receives events. Redis returns how many clients received a message. If none did, only the
first event of the next buffer is sent, and the others are dropped unless a client received it. So no client misses an
event that Celery would have sent it.
"""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from celery.events.dispatcher import EventDispatcher
from celery.events.event import group_from
from celery.utils.time import utcoffset

from hanner.utils.json import dumps

EVENT_FLUSH_INTERVAL = 0.05
"""Seconds between flushes of the buffer while a client receives events."""
UNREAD_FLUSH_INTERVAL = 0.25
"""Seconds between flushes while no client does: each flush waits for Redis."""
MAX_BUFFERED = 2000
"""Maximum number of events in one message; more within EVENT_FLUSH_INTERVAL are flushed at once."""
BUFFERED_GROUPS = frozenset({"task", "hanner"})
"""Groups of events that are buffered, by the prefix of their types; those about workers are sent at once."""


BufferedEvent = tuple[str, int, float, Callable[..., dict[str, Any]], tuple[Any, ...]]
"""Type, logical clock, Unix time, and the function that makes the fields with its arguments."""


class BufferedEventDispatcher(EventDispatcher):  # type: ignore[misc]
    """Celery's dispatcher of events with a buffer for those of tasks and batches."""

    def __init__(self, *args: Any, **options: Any) -> None:
        if options.get("buffer_group"):
            options |= {"buffer_group": BUFFERED_GROUPS, "buffer_limit": MAX_BUFFERED}
        super().__init__(*args, **options)
        self._flush_scheduled = False
        self._without_receiver: set[str] = set()  # routing keys of messages that no client received
        self._common_fields = self._read_common_fields()

    def _read_common_fields(self) -> dict[str, Any]:
        return {"hostname": self.hostname, "utcoffset": utcoffset(), "pid": self.pid}

    @property
    def sends_task_events(self) -> bool:
        """Whether events of tasks are sent; remote control may change it."""
        return bool(self.enabled and (not self.groups or "task" in self.groups))

    @property
    def flush_interval(self) -> float:
        """Seconds until the next flush."""
        return UNREAD_FLUSH_INTERVAL if self._without_receiver else EVENT_FLUSH_INTERVAL

    def send(self, type: str, *args: Any, **fields: Any) -> None:  # noqa: A002 - Celery's signature
        """Buffer an event, or send it; see Celery's method."""
        group = _group_of(type)
        if args or group not in self.buffer_group or not self.enabled or (self.groups and group not in self.groups):
            super().send(type, *args, **fields)
            return
        self._buffer(group, type, dict, (fields,))

    def send_later(self, type: str, make: Callable[..., dict[str, Any]], *values: Any) -> None:  # noqa: A002
        """Buffer an event whose fields are `make(*values)`, made only if the event is sent.

        The caller has checked `sends_task_events`. The values must not change later, nor refer to a text.
        """
        group = _group_of(type)
        if group in self.buffer_group:
            self._buffer(group, type, make, values)
        else:
            self.send(type, **make(*values))

    def _buffer(self, group: str, type: str, make: Callable[..., dict[str, Any]], values: tuple[Any, ...]) -> None:  # noqa: A002
        buffer = self._group_buffer[group]
        buffer.append((type, self.clock.forward(), time.time(), make, values))
        if len(buffer) >= self.buffer_limit:
            self.flush()
        elif not self._flush_scheduled and self.on_send_buffered is not None:
            self._flush_scheduled = True
            self.on_send_buffered()

    def _make_event(self, buffered: BufferedEvent | dict[str, Any]) -> dict[str, Any]:
        if isinstance(buffered, dict):  # Celery's method has buffered it
            return buffered
        type_, clock, timestamp, make, values = buffered
        return {**make(*values), **self._common_fields, "clock": clock, "timestamp": timestamp, "type": type_}

    def flush(self, *args: Any, **options: Any) -> None:
        """Send the buffered events."""
        self._flush_scheduled = False
        self._common_fields = self._read_common_fields()  # the UTC offset may have changed
        super().flush(*args, **options)

    def _publish(self, event: Any, producer: Any, routing_key: str, **options: Any) -> None:
        if producer is None:
            return
        unsent = event
        try:
            if routing_key in self._without_receiver and isinstance(event, list):
                if not self._publish_now(event[:1], producer, routing_key, options):
                    return
                unsent = event[1:]
            if unsent:
                self._publish_now(unsent, producer, routing_key, options)
        except Exception:
            if not self.buffer_while_offline:
                raise
            self._outbound_buffer.append((unsent, routing_key))

    def _publish_now(self, event: Any, producer: Any, routing_key: str, options: dict[str, Any]) -> bool:
        """Send an event or a list of them; return whether a client received it, or that is not known."""
        content = [self._make_event(each) for each in event] if isinstance(event, list) else event
        producer.publish(
            dumps(content),
            content_type="application/json",
            content_encoding="utf-8",
            routing_key=routing_key,
            exchange=self.exchange.name,
            declare=[self.exchange],
            headers=self.headers,
            delivery_mode=self.delivery_mode,
            **options,
        )
        received = getattr(producer.channel, "fanout_receivers", None) != 0
        (self._without_receiver.discard if received else self._without_receiver.add)(routing_key)
        return received

    def extend_buffer(self, other: Any) -> None:
        """Take over the events that another dispatcher has buffered or could not send."""
        super().extend_buffer(other)
        for group, events in getattr(other, "_group_buffer", {}).items():
            self._group_buffer[group][:0] = events


_group_of = lru_cache(maxsize=64)(group_from)
