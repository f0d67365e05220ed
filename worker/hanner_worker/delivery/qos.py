"""What a worker holds, on its own side of the connection. Touches kombu's internals, as channel.py does."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from kombu.transport import redis as kombu_redis
from redis.exceptions import RedisError

DEATHS = "hanner_deaths"
"""Where a message's properties carry how many processes died under its task."""


def _always() -> bool:
    return True


class ReliableQoS(kombu_redis.QoS):  # type: ignore[misc]
    """What this channel's worker holds, on this side: by delivery tag, with what is still to be told to Redis.

    Attributes:
        busy: tells the tags of messages that must not go back, because a process works on them; None on channels
            that the worker's requests do not come from.
        idle: tells whether a process waits for work. If none does, another worker may have one that does, and the
            queue is only looked at now and then.
        eager: look at once although no process is idle, for a batch has just left.

    Interactive and bulk messages have a prefetch count each, so that many of one kind keep none of the other out.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.busy: Callable[[], Iterable[str]] | None = None
        self.idle: Callable[[], bool] = _always
        self.eager = False
        self._bulk: set[str] = set()
        self._done: list[str] = []
        self._back: list[str] = []
        self._buried: list[str] = []

    def can_consume(self) -> bool:
        """Tell whether there is room for a message of either kind."""
        return any(room is None or room > 0 for room in self.rooms())

    def rooms(self) -> tuple[int | None, int | None]:
        """Return how many interactive and how many bulk messages there is room for; None for any number."""
        if not self.prefetch_count:
            return None, None
        bulk = len(self._bulk)
        interactive = len(self._delivered) - bulk
        return max(0, self.prefetch_count - interactive), max(0, self.prefetch_count - bulk)

    @property
    def holds_bulk(self) -> bool:
        """Whether bulk messages are held; then no process is idle for long, and nor are those of other workers."""
        return bool(self._bulk)

    def append(self, message: Any, delivery_tag: str) -> None:
        """Take note of a message that Redis knows to be held."""
        self._delivered[delivery_tag] = message
        if self.channel.ledger.is_bulk(delivery_tag):
            self._bulk.add(delivery_tag)

    def _drop(self, delivery_tag: str) -> Any:
        self._bulk.discard(delivery_tag)
        return self._delivered.pop(delivery_tag, None)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message at the next `flush`."""
        self._done.append(delivery_tag)
        message = self._drop(delivery_tag)
        if message is not None and message.properties.get(DEATHS) and isinstance(message.headers, dict):
            self._buried.append(str(message.headers.get("id")))

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Put a message back, or acknowledge it, at the next `flush`."""
        if requeue:
            self._drop(delivery_tag)
            self._back.append(delivery_tag)
        else:
            self.ack(delivery_tag)

    def forget(self, delivery_tags: Iterable[str]) -> None:
        """Forget messages of which Redis knows that they are not held any more."""
        for tag in delivery_tags:
            self._drop(tag)

    def adopt(self, messages: dict[str, Any]) -> None:
        """Take over messages of an earlier channel."""
        for tag, message in messages.items():
            self.append(message, tag)

    def flush(self) -> None:
        """Tell Redis what was acknowledged and what goes back.

        Raises:
            RedisError: Redis is away, or refused; all is kept for the next time.
        """
        if not self._done and not self._back:
            return
        done, ids, back = self._done, self._buried, self._back
        self._done, self._buried, self._back = [], [], []
        try:
            with self.channel.conn_or_acquire() as client:
                self.channel.ledger.settle(client, done, ids, back)
        except RedisError:
            self._done, self._buried, self._back = done + self._done, ids + self._buried, back + self._back
            raise

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Put back what no process works on; if Redis is away, who reconnects does it, or who takes over."""
        del stderr
        self._on_collect.cancel()
        with suppress(RedisError, OSError):
            self.flush()
            if self.busy is None:
                return
            with self.channel.conn_or_acquire() as client:
                self.channel.ledger.put_back(client, self.busy())
        self._delivered.clear()
        self._bulk.clear()
