"""The objects that the result listener waits for: a pub/sub connection to Redis, and a pipe for wake-ups by threads."""

import contextlib
import selectors
import socket
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

from redis import Redis
from redis.exceptions import RedisError

from hanner.queue.keys import REPLY_SEPARATOR, RESULT_PREFIX, batched, result_key


class Received(NamedTuple):
    """What was received on a subscription.

    Attributes:
        confirmed: Task ids whose subscription was just confirmed.
        payloads: Published results by task id.
        replies: Results that were published on the client's own channel.
    """

    confirmed: set[str]
    payloads: dict[str, Any]
    replies: list[bytes]


class Subscription:
    """One pub/sub connection. Knows which task ids Redis has confirmed, and since when others are unconfirmed.

    Attributes:
        is_ready: Redis has confirmed the subscription to the client's own channel.
        confirmed: Task ids whose subscription Redis has confirmed.
    """

    def __init__(self, pubsub: Any, channel: str) -> None:
        self._pubsub = pubsub
        self._channel = channel
        self._opened = time.monotonic()
        self.is_ready = False
        self._socket = pubsub.connection._sock  # noqa: SLF001 - to select on it together with the pipe, as kombu does
        self._requested: dict[str, float] = {}
        self.confirmed: set[str] = set()

    @classmethod
    @contextlib.contextmanager
    def open(cls, redis: Redis, channel: str) -> Iterator[Self]:
        """Connect, and subscribe to the client's own channel."""
        pubsub: Any = redis.pubsub()  # type: ignore[no-untyped-call]
        try:
            pubsub.subscribe(channel)
            yield cls(pubsub, channel)
        finally:
            with contextlib.suppress(RedisError, OSError):
                pubsub.close()

    def fileno(self) -> int:
        """Return the file descriptor, for a selector."""
        return int(self._socket.fileno())

    def update(self, added: set[str], dropped: set[str]) -> None:
        """Send (un)subscriptions; `receive` returns their confirmations."""
        now = time.monotonic()
        for ids in batched(added):
            self._pubsub.subscribe(*map(result_key, ids))
            self._requested.update(dict.fromkeys(ids, now))
        for ids in batched(dropped):
            self._pubsub.unsubscribe(*map(result_key, ids))
            self.confirmed.difference_update(ids)
            for task_id in ids:
                self._requested.pop(task_id, None)

    def receive(self) -> Received:
        """Return everything received since the last call."""
        confirmed, payloads, replies = received = Received(set(), {}, [])
        connection: Any = self._pubsub.connection
        while (message := self._pubsub.get_message(timeout=0)) is not None or connection.can_read(timeout=0):
            channel = message["channel"].decode() if message else ""  # no message: the reply to a health check
            if channel == self._channel:
                self.is_ready = True
                if message["type"] == "message":
                    replies += message["data"].split(REPLY_SEPARATOR)
            if not message or not channel.startswith(RESULT_PREFIX):
                continue
            task_id = channel.removeprefix(RESULT_PREFIX)
            if message["type"] == "subscribe":
                if self._requested.pop(task_id, None) is not None:
                    confirmed.add(task_id)
            elif message["type"] == "message":
                payloads[task_id] = message["data"]
        self.confirmed |= confirmed
        if connection._sock is not self._socket:  # noqa: SLF001
            raise ConnectionError("redis-py reconnected; results published in between are lost")
        return received

    def unconfirmed_for(self, ids: set[str]) -> float:
        """Return the seconds for which the oldest subscription, of `ids` or the own channel, is unconfirmed."""
        now = time.monotonic()
        return now - min(now if self.is_ready else self._opened, *(self._requested.get(i, now) for i in ids), now)


class WakeupPipe:
    """Wakes a thread from a select: a socket pair with at most one byte in it."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._is_set = False

    def fileno(self) -> int:
        """Return the file descriptor, for a selector."""
        return self._receiver.fileno()

    def wake(self) -> None:
        """Wake the waiting thread; any thread may call this."""
        if not self._is_set:
            self._is_set = True
            with contextlib.suppress(OSError):  # closed
                self._sender.send(b"!")

    def drain(self) -> None:
        """Read the byte, then clear the flag: in this order a wake-up at any moment is seen by the next select."""
        with contextlib.suppress(BlockingIOError):
            self._receiver.recv(16)
        self._is_set = False

    def wait(self, seconds: float) -> None:
        """Wait until `wake` is called, at most `seconds`."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._receiver, selectors.EVENT_READ)
            selector.select(seconds)
        self.drain()

    def close(self) -> None:
        """Close both ends; `wake` does nothing afterwards."""
        self._receiver.close()
        self._sender.close()
