"""Celery's consumer and pool, made to outlive Redis and to notice deaths at once.

With strategy.py and request.py, all that knows Celery inside.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import MethodType
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.consumer.mingle import Mingle
from redis.exceptions import RedisError

from hanner.errors import HannerError
from hanner_worker.batching.events import EVENT_FLUSH_INTERVAL
from hanner_worker.delivery.heartbeat import LeaseRenewer
from hanner_worker.delivery.inflight import HeartbeatResult
from hanner_worker.execution.batch import get_context
from hanner_worker.observability.hooks import Observer
from hanner_worker.observability.setup import Service, setup
from hanner_worker.observability.throughput import Throughput

MINGLE_TIMEOUT = 0.25
"""Seconds a starting worker waits for others to say what was revoked. Celery waits one, half of all our start; a parent
that never blocks on its processes answers in milliseconds."""


RECONNECT_PAUSE = 1.0
"""Seconds between reconnects, if one did not last that long."""


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """A consumer that keeps its worker's lease, and outlives every outage of Redis.

    kombu 5.7.0 closes the broken channel twice: first in vain, because reading its pending reply fails,
    then when the connection is taken apart already; handing messages back then ends the worker with an AttributeError.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hanner_throughput = Throughput(time.monotonic())
        self._lost = -RECONNECT_PAUSE
        self._ledger = get_context().ledger
        self.hanner_observers, self._services = _setup_observers(self)
        self._keeper = LeaseRenewer(self._ledger, self.hanner_connect, self._about, self._taken_back)
        for step in self.steps:
            if isinstance(step, Mingle):
                step.send_hello = MethodType(_hello, step)

    def start(self) -> None:
        """Consume until the worker stops; the lease is kept from here on."""
        self._keeper.start()
        for service in self._services:
            service.start()
        super().start()

    def on_close(self) -> None:
        """Clear what hangs on the connection; batches that a process has been sent go on."""
        dispatcher = getattr(self, "hanner_dispatcher", None)
        if dispatcher is not None:
            dispatcher.secure()
        super().on_close()

    def stop(self) -> None:
        """Take no new work, and give back at once what no process works on."""
        super().stop()
        dispatcher = getattr(self, "hanner_dispatcher", None)
        if dispatcher is not None:
            dispatcher.hand_back()

    def shutdown(self) -> None:
        """Send the last events, close the connection, give back all that is left, and end the lease."""
        with suppress(*self.connection_errors, *self.channel_errors):
            self._flush_events()
        super().shutdown()
        self._keeper.stop()
        for service in self._services:
            service.stop()
        with suppress(RedisError, OSError), self.hanner_connect() as client:
            self._ledger.leave(client)

    def on_send_event_buffered(self) -> None:
        """Send the events that wait, and those that come until then, in a moment."""
        self.hub.call_later(EVENT_FLUSH_INTERVAL, self._flush_events)

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        """Return what is called for every message: ours go to their strategy straight away.

        Celery's own makes two promises for each, to acknowledge and to reject it; of ours hardly any need them.
        """
        usual = super().create_task_handler(*args, **options)
        strategies, soon, callbacks = self.strategies, self.call_soon_ack, self.on_task_message

        def on_message(message: Any) -> None:
            name = message.headers.get("task")
            handler: Any = strategies.get(name) if isinstance(name, str) else None
            if getattr(handler, "batched", False):
                ack, reject = partial(soon, message.ack_log_error), partial(soon, message.reject_log_error)
                handler(message, None, ack, reject, callbacks)
            else:
                usual(message)

        return on_message

    def hanner_connect(self) -> Any:
        """Return a new client of Redis, for a thread of its own."""
        backend = self.app.backend
        return backend._create_client(**backend.connparams)  # noqa: SLF001 - as it makes its own

    def _taken_back(self, renewed: HeartbeatResult) -> None:
        for observer in self.hanner_observers:
            observer.on_requeue("lease_lapsed", renewed.taken_back)
            observer.on_requeue("held_too_long", renewed.overdue)

    def _about(self) -> dict[str, Any]:
        return {
            "host": self.hostname,
            "pid": os.getpid(),
            "processes": self.pool.num_processes,
            "model": get_context().model,
            "started": round(self.controller.startup_time.timestamp(), 3),
            **self.hanner_throughput.snapshot(time.monotonic()),
        }

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Close the channel while it can be closed. A Redis that takes connections and no commands is not pestered."""
        channel = self.connection._default_channel  # noqa: SLF001 - the public name would connect again
        if channel is not None and not channel.closed:
            with suppress(*self.connection_errors, *self.channel_errors):
                channel.close()
        super().on_connection_error_after_connected(exc)
        self._pause()

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Do as Celery does, but not many times a second."""
        super().on_connection_error_before_connected(exc)
        self._pause()

    def _pause(self) -> None:
        if time.monotonic() - self._lost < RECONNECT_PAUSE:
            time.sleep(RECONNECT_PAUSE)
        self._lost = time.monotonic()


def _setup_observers(consumer: Any) -> tuple[list[Observer], list[Service]]:
    """Return observers and services, or exit before the pool is forked if one of them cannot be set up."""
    try:
        return setup(consumer, get_context())
    except HannerError as error:
        print(f"hanner: {error}", file=sys.stderr)  # noqa: T201 - as app.py does
        raise SystemExit(1) from None


def _hello(step: Any, consumer: Any) -> dict[str, Any]:
    """Do as Mingle.send_hello does, and wait MINGLE_TIMEOUT."""
    del step
    inspect = consumer.app.control.inspect(timeout=MINGLE_TIMEOUT, connection=consumer.connection)
    replies: dict[str, Any] = inspect.hello(consumer.hostname, list(consumer.controller.state.revoked)) or {}
    replies.pop(consumer.hostname, None)
    return replies


def patch_exit_detection(pool: Any) -> None:
    """Let a pool of Celery's notice at once that a process died; as it is that can take five seconds.

    A dying process closes its pipe to the parent just before it can be waited for. The parent wakes in between, finds
    nobody dead, and only looks again when its timer says so.
    """
    processes = pool._pool  # noqa: SLF001 - the pool of processes inside Celery's

    def on_exit(hub: Any, process: Any) -> None:
        if process._popen is not None:  # noqa: SLF001
            process._popen.poll(0)  # noqa: SLF001 - it is all but gone: this waits for less than a millisecond
        type(processes)._event_process_exit(processes, hub, process)  # noqa: SLF001

    processes._event_process_exit = on_exit  # noqa: SLF001


def channel_of(consumer: Any) -> Any:
    """Return the channel that the consumer's messages come from."""
    return consumer.connection.default_channel
