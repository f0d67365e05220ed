"""A request that has been sent: ask for its result, see whether it is done, revoke it."""

import contextlib
import enum
import time
from collections import deque
from collections.abc import Callable
from concurrent import futures
from typing import Final, Generic, TypeVar

from hanner.errors import BrokerUnreachable, HannerError
from hanner.transport.connection import BrokerConnection
from hanner.transport.result_listener import Answer
from hanner.transport.result_parser import Meta

T = TypeVar("T")


class Default(enum.Enum):
    """Stands for `Settings.timeout` where None means to wait for ever."""

    TIMEOUT = "timeout"


RIPE: Final = 0.01
"""Seconds after which a request may well have been answered, so that asking once is cheaper than to subscribe."""
DEFAULT: Final = Default.TIMEOUT
Timeout = float | None | Default


def seconds(timeout: Timeout, link: BrokerConnection) -> float | None:
    """Resolve a timeout against the client's settings."""
    return link.settings.timeout if isinstance(timeout, Default) else timeout


class Job(Generic[T]):
    """A request in the queue, or already answered. Any thread may ask.

    Attributes:
        id: Celery's task id; `Client.job(id)` finds the request again, from any process.
    """

    def __init__(self, link: BrokerConnection, task_id: str, read: Callable[[Meta], T], *, sent: bool = True) -> None:
        self.id: Final = task_id
        self._sent_at = time.monotonic() if sent else float("-inf")
        self._link = link
        self._read = read
        self._meta: Meta | None = None
        self._expected: deque[tuple[int, Answer]] = deque(maxlen=1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def result(self, timeout: Timeout = DEFAULT) -> T:
        """Wait for the result and return it.

        Args:
            timeout: Seconds to wait; None waits for ever.

        Raises:
            HannerError: its child that names why there is none, TimedOut among them. Ask again after TimedOut.
        """
        return self._read(self.wait(timeout))

    def wait(self, timeout: Timeout = DEFAULT) -> Meta:
        """Wait until the request is done, well or not; return what Celery stored of it.

        Raises:
            TimedOut: it was not done in time.
            BrokerUnreachable: Redis could not be asked.
        """
        began, limit = time.monotonic(), seconds(timeout, self._link)
        if self._meta is None and self._ripe(limit):
            with contextlib.suppress(BrokerUnreachable):  # it may be back in time
                self._meta = self._link.peek(self.id)
        if self._meta is None:
            future = self.take()
            left = None if limit is None else max(0.0, began + limit - time.monotonic())
            try:
                self.learn(future.result(left))
            except TimeoutError:
                raise self.late(limit) from None
            finally:
                self.release(future)
        assert self._meta is not None
        return self._meta

    def _ripe(self, limit: float | None) -> bool:
        """Say whether to look for the result before listening: there is time for that, even if Redis is silent."""
        patient = limit is None or limit > self._link.settings.connect_timeout
        return patient and not self._expected and time.monotonic() - self._sent_at > RIPE

    def done(self) -> bool:
        """Say whether the request is done, well or not. Asks Redis.

        Raises:
            BrokerUnreachable: Redis could not be asked.
        """
        if self._meta is None:
            self._meta = self._link.peek(self.id)
        return self._meta is not None

    def revoke(self) -> None:
        """Tell the workers not to begin with it; `result` raises Revoked once one of them has come across it.

        Raises:
            BrokerUnreachable: Redis could not be told.
        """
        self._link.revoke(self.id)

    def expect(self) -> None:
        """Have the result collected as soon as it is there, before anybody waits."""
        if self._meta is None and not self._expected:
            listener = self._link.listener
            self._expected.append((listener.generation, listener.expect(self.id)))

    def arrived(self) -> bool:
        """Say whether an expected result is here. Asks nobody."""
        return self._meta is not None or any(future.done() for _, future in self._expected)

    def arrives(self, seconds: float) -> bool:
        """Wait for an expected result, at most so many seconds; say whether it is here."""
        futures.wait([future for _, future in self._expected], seconds)
        return self.arrived()

    def abandon(self) -> None:
        """Collect the result no more."""
        while self._expected:
            self._link.listener.forget(self.id, self._expected.pop()[1])

    # For those who wait in another way than `wait` does:

    def known(self) -> bool:
        """Say whether `result` would return or raise without asking anybody."""
        return self._meta is not None

    def take(self) -> Answer:
        """Return a future for one waiter alone: another's timeout must not silence it. `release` it in the end."""
        listener = self._link.listener
        try:
            generation, future = self._expected.pop()
        except IndexError:
            return listener.expect(self.id)
        return future if generation == listener.generation else listener.expect(self.id)

    def learn(self, meta: Meta) -> None:
        """Take note of what a future brought."""
        self._meta = meta

    def release(self, future: Answer) -> None:
        """Give back what `take` gave."""
        self._link.listener.forget(self.id, future)

    def late(self, limit: float | None) -> HannerError:
        """Return the error for a result that did not come within so many seconds."""
        return self._link.late(limit)
