"""The unacknowledged messages of a channel, in memory, for kombu. Overrides kombu's internals."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from kombu.transport import redis as kombu_redis
from redis.exceptions import RedisError

from hanner_worker.delivery.decoding import SIZE
from hanner_worker.delivery.inflight import MAX_FETCH_BYTES

CRASHES = "hanner_crashes"
"""Property of a message: how many processes died while they worked on its task."""

BYTES_PER_MESSAGE = 2048
"""Bytes that a worker prefetches for each message of the prefetch count. A text of 256 characters has this size."""


def _always() -> bool:
    return True


class ReliableQoS(kombu_redis.QoS):  # type: ignore[misc]
    """The unacknowledged messages of one channel by delivery tag, and the acknowledgements not yet sent to Redis.

    Interactive and bulk messages have a prefetch count each, so that many of one kind do not keep out the other. The
    size of the waiting messages of each kind is limited too: it bounds the parent's memory, and estimates their work.

    Attributes:
        running_tags: returns the tags of the messages that a process works on, which must not be requeued; None on
            channels that the worker's requests do not come from.
        has_idle_process: returns whether a process is idle. If none is, another worker may have an idle one, so the
            queue is polled only every POLL_INTERVAL.
        poll_soon: poll at once although no process is idle, because a batch has just been sent to one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.running_tags: Callable[[], Iterable[str]] | None = None
        self.has_idle_process: Callable[[], bool] = _always
        self.poll_soon = False
        self._bulk_tags: set[str] = set()
        self._waiting: dict[str, tuple[bool, int]] = {}  # kind and bytes of each waiting message
        self._waiting_bytes = {False: 0, True: 0}  # by kind: True is bulk
        self._acked: list[str] = []
        self._requeued: list[str] = []
        self._finished_ids: list[str] = []  # tasks among the acknowledged that have a crash count

    def can_consume(self) -> bool:
        """Return whether there is room for a message of either kind."""
        return any(room is None or room > 0 for room, _ in self.free_slots())

    def free_slots(self) -> list[tuple[int | None, int]]:
        """Return how many interactive and how many bulk messages there is room for, and how many bytes of each.

        The number of messages is None if it is not limited, and 0 while the waiting messages are too large.
        """
        bulk, limit = len(self._bulk_tags), self.prefetch_count
        max_bytes = min(limit * BYTES_PER_MESSAGE or MAX_FETCH_BYTES, MAX_FETCH_BYTES)
        slots: list[tuple[int | None, int]] = []
        for is_bulk, count in ((False, len(self._delivered) - bulk), (True, bulk)):
            room, free_bytes = (max(0, limit - count) if limit else None), max_bytes - self._waiting_bytes[is_bulk]
            slots.append((room, free_bytes) if free_bytes > 0 else (0, 0))
        return slots

    @property
    def has_bulk(self) -> bool:
        """True if bulk messages are in flight. Then no process is idle for long, in this worker or in others."""
        return bool(self._bulk_tags)

    def append(self, message: Any, delivery_tag: str) -> None:
        """Add a message that is in flight in Redis."""
        self._delivered[delivery_tag] = message
        bulk = self.channel.inflight.is_bulk(delivery_tag)
        if bulk:
            self._bulk_tags.add(delivery_tag)
        size = message.properties.get(SIZE, 0)
        self._waiting[delivery_tag] = bulk, size
        self._waiting_bytes[bulk] += size

    def stop_waiting(self, delivery_tags: Iterable[str]) -> None:
        """Stop counting the size of messages: a process works on them, or they are due later."""
        for tag in delivery_tags:
            if (waiting := self._waiting.pop(tag, None)) is not None:
                bulk, size = waiting
                self._waiting_bytes[bulk] -= size

    def _remove(self, delivery_tag: str) -> Any:
        if delivery_tag in self._waiting:
            self.stop_waiting([delivery_tag])
        self._bulk_tags.discard(delivery_tag)
        return self._delivered.pop(delivery_tag, None)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message at the next `flush`."""
        self._acked.append(delivery_tag)
        message = self._remove(delivery_tag)
        if message is not None and message.properties.get(CRASHES) and isinstance(message.headers, dict):
            self._finished_ids.append(str(message.headers.get("id")))

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """At the next `flush`, requeue a message, or acknowledge it if `requeue` is False."""
        if requeue:
            self._remove(delivery_tag)
            self._requeued.append(delivery_tag)
        else:
            self.ack(delivery_tag)

    def drop(self, delivery_tags: Iterable[str]) -> None:
        """Remove messages that are no longer in flight in Redis."""
        for tag in delivery_tags:
            self._remove(tag)

    def flush(self) -> None:
        """Send acknowledgements and requeues to Redis.

        Raises:
            RedisError: Redis is unreachable, or refused; they are kept for the next time.
        """
        if not self._acked and not self._requeued:
            return
        acked, finished_ids, requeued = self._acked, self._finished_ids, self._requeued
        self._acked, self._finished_ids, self._requeued = [], [], []
        try:
            with self.channel.conn_or_acquire() as client:
                while left := self.channel.inflight.ack(client, acked, finished_ids, requeued):
                    acked, finished_ids, requeued = [], [], left
        except RedisError:
            self._acked, self._requeued = acked + self._acked, requeued + self._requeued
            self._finished_ids = finished_ids + self._finished_ids
            raise

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Requeue the messages that no process works on, when the channel closes.

        If Redis is unreachable, the next connection does it, or a worker that finds the lease expired.
        """
        del stderr
        self._on_collect.cancel()
        with suppress(RedisError, OSError):
            self.flush()
            if self.running_tags is None:
                return
            with self.channel.conn_or_acquire() as client:
                self.channel.inflight.requeue(client, self.running_tags())
        self._delivered.clear()
        self._bulk_tags.clear()
        self._waiting.clear()
        self._waiting_bytes = {False: 0, True: 0}
