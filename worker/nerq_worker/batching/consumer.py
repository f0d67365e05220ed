"""Celery's consumer, made to outlive Redis. With strategy.py and request.py, all that knows Celery inside."""

from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer
from kombu.common import ignore_errors


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """A consumer that a lost connection does not end while there are unacknowledged messages.

    kombu 5.7.0 closes the broken channel twice: first in vain, because reading the reply of its pending BRPOP fails,
    then when the connection is taken apart already; handing messages back then ends the worker with an AttributeError.
    """

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let the pending BRPOP fail here; closing the channel succeeds after that, and hands back what it can."""
        channel = self.connection.default_channel
        if not channel.closed:
            ignore_errors(self.connection, channel.close)
        super().on_connection_error_after_connected(exc)


def channel_of(consumer: Any) -> Any:
    """Return the channel that the consumer's messages come from."""
    return consumer.connection.default_channel


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
