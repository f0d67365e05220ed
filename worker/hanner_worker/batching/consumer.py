"""Celery's consumer, changed to renew the worker's lease and to survive outages of Redis.

Overrides Celery's internals. Starts the heartbeat and the observers' services, each with a thread of its own.
"""

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import MethodType
from typing import Any

from celery import signals
from celery.exceptions import CPendingDeprecationWarning, InvalidTaskError
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.consumer.mingle import Mingle
from redis.exceptions import RedisError, ResponseError

from hanner.errors import HannerError
from hanner_worker.batching.refusal import refuse
from hanner_worker.batching.strategy import make_message_handler
from hanner_worker.batching.unregistered import dead_letter_unregistered
from hanner_worker.context import get_context
from hanner_worker.delivery.heartbeat import LeaseRenewer
from hanner_worker.delivery.inflight import HeartbeatResult
from hanner_worker.observability.hooks import Observer
from hanner_worker.observability.setup import Service, setup
from hanner_worker.observability.throughput import Throughput
from hanner_worker.probes import Probes
from hanner_worker.watchdog import Watchdog, end_worker

MINGLE_TIMEOUT = 0.25
"""Seconds a starting worker waits for the other workers' revoked tasks. Celery waits one second, half of its start. The
parents of hanner's workers never block on their processes, so they answer in milliseconds."""
RECONNECT_PAUSE = 1.0
"""Seconds to wait before a reconnect if the last one was less than that ago."""


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """A consumer that renews its worker's lease, and survives every outage of Redis.

    kombu 5.7.0 closes a broken channel twice. The first close fails, because it reads the pending reply; the second one
    requeues messages when the connection is gone already, and ends the worker with an AttributeError.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hanner_throughput = Throughput(time.monotonic())
        self._last_loss = -RECONNECT_PAUSE
        self._inflight = get_context().inflight
        self.hanner_observers, self._services = _set_up_observers(self)
        self.hanner_probes = Probes()
        self._watchdog = Watchdog(get_context().settings.hang_timeout, self.hanner_probes, self._end)
        self.hanner_observers.append(self._watchdog)
        self._services.append(self._watchdog)
        self._lease_renewer = LeaseRenewer(self._inflight, self.hanner_connect, self._get_status, self._on_heartbeat)
        for step in self.steps:
            if isinstance(step, Mingle):
                step.send_hello = MethodType(send_hello, step)

    def start(self) -> None:
        """Start the heartbeat, and consume until the worker stops."""
        self._lease_renewer.start()
        for service in self._services:
            service.start()
        super().start()

    def on_ready(self) -> None:
        """Subscribe to remote control before the worker reports that it is ready, not in the next turn of its loop."""
        self.connection.transport.cycle.on_poll_start()
        super().on_ready()
        self._watchdog.resume()
        if self._watchdog.interval:
            self.hub.call_repeatedly(self._watchdog.interval, self._watchdog.probe, self.pool)

    def on_close(self) -> None:
        """Clear the state of the connection; batches that were sent to a process continue."""
        dispatcher = getattr(self, "hanner_dispatcher", None)
        if dispatcher is not None:
            dispatcher.mark_accepted()
        self._watchdog.pause()
        super().on_close()

    def stop(self) -> None:
        """Accept no new work, and requeue at once the requests that no process works on."""
        self._watchdog.pause()
        super().stop()
        dispatcher = getattr(self, "hanner_dispatcher", None)
        if dispatcher is not None:
            dispatcher.requeue_pending()

    def shutdown(self) -> None:
        """Send the last events, close the connection, requeue the remaining requests, and end the lease."""
        with suppress(*self.connection_errors, *self.channel_errors):
            self._flush_events()
        super().shutdown()
        self._lease_renewer.stop()
        for service in self._services:
            service.stop()
        with suppress(RedisError, OSError), self.hanner_connect() as client:
            self._inflight.deregister(client)

    def on_send_event_buffered(self) -> None:
        """Schedule a flush of the buffered events."""
        self.hub.call_later(self.event_dispatcher.flush_interval, self._flush_events)

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        """Return the handler of messages."""
        return make_message_handler(self, super().create_task_handler(*args, **options))

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Refuse a message whose body cannot be decoded; Celery would log the body."""
        task = message.headers.get("task")
        known = isinstance(task, str) and task in self.strategies
        refuse(message, exc, self.hanner_dispatcher.complete_message, *([task] if known else []))

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Refuse a message that names no task."""
        del body
        refuse(message, InvalidTaskError(), self.hanner_dispatcher.complete_message)
        signals.task_rejected.send(sender=self, message=message, exc=None)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Refuse a message of a task that is not batched."""
        del body
        refuse(message, exc, self.hanner_dispatcher.complete_message)
        signals.task_rejected.send(sender=self, message=message, exc=exc)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Move a message of a task that this worker does not have to the dead letters, with events as Celery's."""
        del body
        request = dead_letter_unregistered(message, self.hanner_dispatcher.complete_message)
        if request is None:
            return
        if self.event_dispatcher:
            self.event_dispatcher.send("task-failed", uuid=request.id, exception=f"NotRegistered({request.task!r})")
        signals.task_unknown.send(sender=self, message=message, exc=exc, name=request.task, id=request.id)

    def hanner_connect(self) -> Any:
        """Return a new client of Redis, for a thread."""
        backend = self.app.backend
        return backend._create_client(**backend.connparams)  # noqa: SLF001 - as it makes its own client

    def connect(self) -> Any:
        """Return a new connection, as Celery does; close it if Redis refuses its first command, as a replica does."""
        connection = self.connection_for_read(heartbeat=self.amqheartbeat)
        try:
            if self.hub:
                connection.transport.register_with_event_loop(connection.connection, self.hub)
        except BaseException:
            with suppress(*self.connection_errors, *self.channel_errors):
                connection.close()
            raise
        return connection

    def _on_heartbeat(self, result: HeartbeatResult) -> None:
        for observer in self.hanner_observers:
            observer.on_requeue("lease_expired", result.requeued)
            observer.on_requeue("unacked_too_long", result.overdue)
            observer.on_dead_letters_deleted("age", result.too_old)
            observer.on_dead_letters_deleted("count", result.too_many)

    def _end(self) -> None:
        end_worker([process.pid for process in self.pool._pool._pool])  # noqa: SLF001 - no public name

    def _get_status(self) -> dict[str, Any]:
        dispatcher = getattr(self, "hanner_dispatcher", None)  # created when the worker is connected
        work = {False: 0.0, True: 0.0} if dispatcher is None else dispatcher.work_seconds()
        return {
            "host": self.hostname,
            "pid": os.getpid(),
            "processes": self.pool.num_processes,
            "model": get_context().model,
            "types": json.dumps(get_context().types),
            "started": round(self.controller.startup_time.timestamp(), 3),
            "work_seconds": round(work[False], 3),
            "bulk_work_seconds": round(work[True], 3),
            **self.hanner_throughput.snapshot(time.monotonic()),
        }

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Close the channel while it can be closed. Pause, if Redis accepts connections but no commands."""
        channel = self.connection._default_channel  # noqa: SLF001 - the public name would connect again
        if channel is not None and not channel.closed:
            with suppress(*self.connection_errors, *self.channel_errors):
                channel.close()
        with warnings.catch_warnings():
            # Celery warns that running tasks continue and are delivered again. hanner's are fenced, and answered once.
            warnings.simplefilter("ignore", CPendingDeprecationWarning)
            super().on_connection_error_after_connected(exc)
        self._pause()

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Log the error as Celery does, and pause."""
        super().on_connection_error_before_connected(exc)
        self._pause()

    def _pause(self) -> None:
        if time.monotonic() - self._last_loss < RECONNECT_PAUSE:
            time.sleep(RECONNECT_PAUSE)
        self._last_loss = time.monotonic()


def _set_up_observers(consumer: Any) -> tuple[list[Observer], list[Service]]:
    """Return observers and services, or exit before the pool is forked if one of them cannot be set up."""
    try:
        return setup(consumer, get_context())
    except HannerError as error:
        print(f"hanner: {error}", file=sys.stderr)  # noqa: T201 - as app.py does
        raise SystemExit(1) from None


def send_hello(step: Any, consumer: Any) -> dict[str, Any]:
    """Do as Mingle.send_hello does, with a timeout of MINGLE_TIMEOUT and a connection of its own.

    The worker's channel would wait for further replies for up to a second, and receive no requests until then. A worker
    that is the only one does not wait at all.
    """
    del step
    options = consumer.connection.transport_options | {"polling_interval": MINGLE_TIMEOUT}
    with consumer.connection.clone(transport_options=options) as connection:
        connection.connect()  # otherwise kombu raises an error that Celery does not recover from, and the worker exits
        if _is_alone(connection.default_channel.client):
            return {}
        inspect = consumer.app.control.inspect(timeout=MINGLE_TIMEOUT, connection=connection)
        replies: dict[str, Any] = inspect.hello(consumer.hostname, list(consumer.controller.state.revoked)) or {}
    replies.pop(consumer.hostname, None)
    return replies


def _is_alone(redis: Any) -> bool:
    """Return whether no worker listens to remote control: kombu subscribes to a pattern for it.

    A worker with the option `fanout_patterns` off is not seen; hanner's have it on.
    """
    try:
        return bool(redis.pubsub_numpat() == 0)
    except ResponseError:  # this user must not run the command
        return False
