"""Celery's consumer and pool, made to outlive Redis and to notice deaths at once.

With strategy.py and request.py, all that knows Celery inside.
"""

from collections.abc import Sequence
from contextlib import suppress
from types import MethodType
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.consumer.mingle import Mingle

NEIGHBOURS = 0.25
"""Seconds a starting worker waits for others to say what was revoked. Celery waits one, half of all our start; a parent
that never blocks on its processes answers in milliseconds."""


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """A consumer that a lost connection does not end while there are unacknowledged messages.

    kombu 5.7.0 closes the broken channel twice: first in vain, because reading the reply of its pending BRPOP fails,
    then when the connection is taken apart already; handing messages back then ends the worker with an AttributeError.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for step in self.steps:
            if isinstance(step, Mingle):
                step.send_hello = MethodType(_hello, step)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let the pending BRPOP fail here; closing the channel succeeds after that, and hands back what it can."""
        channel = self.connection._default_channel  # noqa: SLF001 - the public name would connect again
        if channel is not None and not channel.closed:
            with suppress(*self.connection_errors, *self.channel_errors):
                channel.close()
        super().on_connection_error_after_connected(exc)


def _hello(step: Any, consumer: Any) -> dict[str, Any]:
    """Do as Mingle.send_hello does, and wait NEIGHBOURS."""
    del step
    inspect = consumer.app.control.inspect(timeout=NEIGHBOURS, connection=consumer.connection)
    replies: dict[str, Any] = inspect.hello(consumer.hostname, list(consumer.controller.state.revoked)) or {}
    replies.pop(consumer.hostname, None)
    return replies


def notice_deaths(pool: Any) -> None:
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


def acknowledge(messages: Sequence[Any]) -> None:
    """Acknowledge messages of one open channel in one round trip, where Celery would take one for each.

    Raises:
        OSError, redis.RedisError: the connection is lost; none is acknowledged as far as this side knows.
    """
    qos = messages[0].channel.qos
    with qos.pipe_or_acquire() as pipe:
        for message in messages:
            qos._remove_from_indices(message.delivery_tag, pipe)  # noqa: SLF001 - what qos.ack() calls
        pipe.execute()
    for message in messages:
        qos._quick_ack(message.delivery_tag)  # noqa: SLF001 - the other half of qos.ack()
        message._state = "ACK"  # noqa: SLF001


def take_back(old: Any, new: Any, keep: set[str]) -> None:
    """Put the messages that a closed channel could not hand back into the queue again, but for those of `keep`.

    Without this they would wait for the broker's visibility timeout: an hour.

    Args:
        old: a closed channel.
        new: an open one.
        keep: delivery tags of what still runs.
    """
    delivered, done = old.qos._delivered, old.qos._dirty  # noqa: SLF001 - kombu tells it nowhere else
    for tag in [tag for tag in delivered if tag not in done and tag not in keep]:
        new.qos.restore_by_tag(tag)
        del delivered[tag]
