"""What the result listener waits on: a pub/sub connection to Redis, and a bell that other threads may ring."""

import contextlib
import selectors
import socket
import time
import uuid
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

KEY_PREFIX = "celery-task-meta-"
CHUNK = 500
"""Keys in one command: long enough to be cheap, short enough not to hold Redis up."""


def key(task_id: str) -> str:
    """Name the key, and the channel, of a task's result."""
    return KEY_PREFIX + task_id


def chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    """Cut ids into lists of at most CHUNK."""
    source = iter(ids)
    return iter(lambda: list(islice(source, CHUNK)), [])


class Subscription:
    """One pub/sub connection; knows which ids Redis has confirmed, and since when others are unconfirmed."""

    def __init__(self, pubsub: Any) -> None:
        self._pubsub = pubsub
        self._socket = pubsub.connection._sock  # noqa: SLF001 - to wait on it together with the bell, as kombu does
        self._asked: dict[str, float] = {}
        self.confirmed: set[str] = set()

    @classmethod
    @contextlib.contextmanager
    def open(cls, redis: Redis) -> Iterator[Self]:
        """Connect, with one channel of its own: redis-py reads nothing while nothing is subscribed."""
        pubsub: Any = redis.pubsub()  # type: ignore[no-untyped-call]
        try:
            pubsub.subscribe(f"hanner-client-{uuid.uuid4().hex}")
            yield cls(pubsub)
        finally:
            with contextlib.suppress(RedisError, OSError):
                pubsub.close()

    def fileno(self) -> int:
        """Let a selector wait on it."""
        return int(self._socket.fileno())

    def change(self, added: set[str], dropped: set[str]) -> None:
        """Send (un)subscriptions; their confirmations come by `take`."""
        now = time.monotonic()
        for ids in chunks(added):
            self._pubsub.subscribe(*map(key, ids))
            self._asked.update(dict.fromkeys(ids, now))
        for ids in chunks(dropped):
            self._pubsub.unsubscribe(*map(key, ids))
            self.confirmed.difference_update(ids)
            for task_id in ids:
                self._asked.pop(task_id, None)

    def take(self) -> tuple[set[str], dict[str, Any]]:
        """Take every message that has come: newly confirmed ids, and payloads by id."""
        fresh: set[str] = set()
        announced: dict[str, Any] = {}
        connection: Any = self._pubsub.connection
        while (message := self._pubsub.get_message(timeout=0)) is not None or connection.can_read(timeout=0):
            channel = message["channel"].decode() if message else ""  # without a message: a health check's answer
            if not message or not channel.startswith(KEY_PREFIX):
                continue
            task_id = channel.removeprefix(KEY_PREFIX)
            if message["type"] == "subscribe":
                if self._asked.pop(task_id, None) is not None:
                    fresh.add(task_id)
            elif message["type"] == "message":
                announced[task_id] = message["data"]
        self.confirmed |= fresh
        if connection._sock is not self._socket:  # noqa: SLF001
            raise ConnectionError("redis-py reconnected by itself; what was announced in between is lost")
        return fresh, announced

    def silent_for(self, ids: set[str]) -> float:
        """Seconds for which the oldest subscription among `ids` has been unconfirmed."""
        return time.monotonic() - min((self._asked[i] for i in ids & self._asked.keys()), default=time.monotonic())


class WakeupPipe:
    """Wakes a thread out of a select: a pair of sockets, and at most one byte in flight."""

    def __init__(self) -> None:
        self._listens, self._rings = socket.socketpair()
        self._listens.setblocking(False)
        self._rung = False

    def fileno(self) -> int:
        """Let a selector wait on it."""
        return self._listens.fileno()

    def ring(self) -> None:
        """Wake the one who waits; any thread may ring."""
        if not self._rung:
            self._rung = True
            with contextlib.suppress(OSError):  # closed
                self._rings.send(b"!")

    def silence(self) -> None:
        """Take the byte first: whoever rings after that is heard by the next select."""
        with contextlib.suppress(BlockingIOError):
            self._listens.recv(16)
        self._rung = False

    def wait(self, seconds: float) -> None:
        """Wait until it rings, at most so many seconds."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listens, selectors.EVENT_READ)
            selector.select(seconds)
        self.silence()

    def close(self) -> None:
        """Close both ends; ringing does nothing afterwards."""
        self._listens.close()
        self._rings.close()
