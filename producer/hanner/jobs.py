"""Jobs: requests that have been sent. `Job` is public; Clients and streams wait with `ResultWaiter`."""

import contextlib
import enum
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Future, InvalidStateError
from typing import Any, Final, Generic, NoReturn, TypeVar

from hanner.errors import BrokerUnreachable, HannerError, InvalidSettings
from hanner.transport.connection import BrokerConnection
from hanner.transport.result_listener import ResultFuture
from hanner.transport.result_parser import Meta

T = TypeVar("T")

POLL_FIRST_AFTER: Final = 0.01
"""Seconds after sending from which a result is read once before it is subscribed: it may well be stored already."""


class Default(enum.Enum):
    """The type of DEFAULT."""

    TIMEOUT = "timeout"


DEFAULT: Final = Default.TIMEOUT
"""Stands for `Settings.timeout`, because None means no timeout."""
Timeout = float | None | Default


def timeout_seconds(timeout: Timeout, default: float) -> float | None:
    """Return a timeout in seconds, with DEFAULT replaced by `default`.

    Raises:
        InvalidSettings: it is not a number.
    """
    if isinstance(timeout, Default):
        return default
    check_seconds("timeout", timeout)
    return timeout


def check_seconds(name: str, value: float | None) -> None:
    """Raise InvalidSettings if an argument is neither None nor a number of seconds."""
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value)):
        raise InvalidSettings(f"{name} must be a number of seconds, or None for no limit, not {value!r}")


class ResultWaiter(Generic[T]):
    """Waits for the result of one request. Threads may share it.

    Args:
        connection: The client's connection.
        task_id: The request's id.
        parse: Turns the task's meta into the result, or raises its error.
        sent_now: Whether the request has just been sent, as opposed to earlier.
    """

    def __init__(
        self, connection: BrokerConnection, task_id: str, parse: Callable[[Meta], T], *, sent_now: bool = True
    ) -> None:
        self.id: Final = task_id
        self._connection = connection
        self._parse = parse
        self._sent_at = time.monotonic() if sent_now else float("-inf")
        self._meta: Meta | None = None
        self._subscribed: deque[tuple[int, ResultFuture]] = deque(maxlen=1)

    @property
    def connection(self) -> BrokerConnection:
        """The connection of the address that the request was sent to."""
        return self._connection

    def result(self, timeout: Timeout = DEFAULT) -> T:
        """Wait for the result and return it; see `Job.result`."""
        return self._parse(self.wait(timeout))

    def wait(self, timeout: Timeout = DEFAULT) -> Meta:
        """Wait until the request is done, successfully or not; return its meta.

        Raises:
            TimedOut: it was not done in time.
            BrokerUnreachable: Redis is unreachable.
        """
        started, limit = time.monotonic(), timeout_seconds(timeout, self._connection.settings.timeout)
        if self._meta is None and self._should_poll_first(limit):
            with contextlib.suppress(BrokerUnreachable):  # it may be reachable again in time
                self._meta = self._connection.read_meta(self.id)
        if self._meta is None:
            future = self.take_future()
            left = None if limit is None else max(0.0, started + limit - time.monotonic())
            try:
                self.set_meta(future.result(left))
            except TimeoutError:
                raise self.timeout_error(limit) from None
            finally:
                self.release_future(future)
        assert self._meta is not None
        return self._meta

    def _should_poll_first(self, limit: float | None) -> bool:
        """Return whether to read the result before subscribing, which takes `connect_timeout` if Redis hangs."""
        has_time = limit is None or limit > self._connection.settings.connect_timeout
        return has_time and not self._subscribed and time.monotonic() - self._sent_at > POLL_FIRST_AFTER

    def done(self) -> bool:
        """Return whether the request is done; see `Job.done`."""
        if self._meta is None:
            self._meta = self._connection.read_meta(self.id)
        return self._meta is not None

    def revoke(self) -> None:
        """Revoke the request; see `Job.revoke`."""
        self._connection.revoke(self.id)

    def expect_reply(self) -> None:
        """Receive the result on the client's own channel, which the message names. Call this before it is sent."""
        listener = self._connection.listener
        self._subscribed.append((listener.fork_count, listener.subscribe(self.id, replied=True)))

    def unsubscribe(self) -> None:
        """Stop receiving the result."""
        while self._subscribed:
            self._connection.listener.unsubscribe(self.id, self._subscribed.pop()[1])

    def has_arrived(self) -> bool:
        """Return whether a subscribed result has been received. Does not use the network."""
        return self._meta is not None or any(future.done() for _, future in self._subscribed)

    def wait_for_arrival(self, seconds: float) -> bool:
        """Wait for a subscribed result, at most `seconds`; return whether it has been received."""
        futures.wait([future for _, future in self._subscribed], seconds)
        return self.has_arrived()

    # For callers that wait in another way than `wait` does:

    def timeout_error(self, seconds: float | None) -> HannerError:
        """Return the error for a result that did not arrive within `seconds`."""
        return self._connection.timeout_error(seconds, time.monotonic() - self._sent_at)

    def has_meta(self) -> bool:
        """Return whether `result` returns or raises without using the network."""
        return self._meta is not None

    def take_future(self) -> ResultFuture:
        """Return a future for one caller alone, so that the timeout of another does not affect it.

        Call `release_future` in the end.
        """
        listener = self._connection.listener
        try:
            fork_count, future = self._subscribed.pop()
        except IndexError:
            return listener.subscribe(self.id)
        return future if fork_count == listener.fork_count else listener.subscribe(self.id)

    def release_future(self, future: ResultFuture) -> None:
        """Stop waiting for a future of `take_future`."""
        self._connection.listener.unsubscribe(self.id, future)

    def set_meta(self, meta: Meta) -> None:
        """Store the meta that a future resolved to."""
        self._meta = meta


class AnyAddressWaiter(ResultWaiter[T]):
    """Waits for the result of a request whose id does not name one of several addresses.

    Such a request was sent by another program, or by a client with other addresses.

    Args:
        connections: The client's connections.
        task_id: The request's id.
        parse: Turns the task's meta into the result, or raises its error.
    """

    def __init__(self, connections: Sequence[BrokerConnection], task_id: str, parse: Callable[[Meta], T]) -> None:
        super().__init__(connections[0], task_id, parse, sent_now=False)
        self._waiters = [ResultWaiter(connection, task_id, parse, sent_now=False) for connection in connections]
        self._parts: dict[ResultFuture, list[ResultFuture]] = {}

    def _should_poll_first(self, limit: float | None) -> bool:
        del limit
        return False  # an address that hangs would take up the time

    def done(self) -> bool:
        """Return whether the request is done.

        Raises:
            BrokerUnreachable: it is not done at the addresses that answer, and some do not.
        """
        unreachable: BrokerUnreachable | None = None
        for waiter in self._waiters:
            try:
                if self._meta is None and waiter.done():
                    self._meta = waiter.wait(0)
            except BrokerUnreachable as error:
                unreachable = error
        if self._meta is None and unreachable is not None:
            raise unreachable
        return self._meta is not None

    def revoke(self) -> None:
        """Raise HannerError: at the wrong address, revoking would store a wrong result."""
        raise HannerError(
            f"the id {self.id} does not name one of the addresses in HANNER_BROKER_URL, so the request cannot be "
            "revoked here; use a client whose HANNER_BROKER_URL is the address that the request was sent to"
        )

    def timeout_error(self, seconds: float | None) -> HannerError:
        """Return the error for a result that did not arrive in time; that of an address that does not answer first."""
        down = (waiter for waiter in self._waiters if waiter.connection.listener.last_error is not None)
        return ResultWaiter.timeout_error(next(down, self._waiters[0]), seconds)

    def take_future(self) -> ResultFuture:
        """Return a future that resolves to the first result of any address, or fails if all addresses fail."""
        future: ResultFuture = Future()
        parts = [waiter.take_future() for waiter in self._waiters]
        self._parts[future] = parts
        failures: list[BaseException] = []

        def on_done(part: ResultFuture) -> None:
            if part.cancelled():
                return
            error = part.exception()
            if error is not None:
                failures.append(error)
                if len(failures) < len(parts):
                    return
            with contextlib.suppress(InvalidStateError):  # another address was first
                if error is None:
                    future.set_result(part.result())
                else:
                    future.set_exception(error)

        for part in parts:
            part.add_done_callback(on_done)
        return future

    def release_future(self, future: ResultFuture) -> None:
        """Stop waiting for a future of `take_future`."""
        for waiter, part in zip(self._waiters, self._parts.pop(future, ()), strict=False):
            waiter.release_future(part)


class Job(Generic[T]):
    """A request in the queue, or already answered. Threads may share it.

    Attributes:
        id: Celery's task id; `Client.job(id)` returns the job again, from any process.
    """

    def __init__(self, waiter: ResultWaiter[T]) -> None:
        self.id: Final = waiter.id
        self._waiter = waiter

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Job cannot be pickled; pass its id, and call Client.job(id) in the other process")

    def result(self, timeout: Timeout = DEFAULT) -> T:
        """Wait for the result and return it.

        Args:
            timeout: Seconds to wait; None waits without limit; `Settings.timeout` when not given.

        Raises:
            HannerError: the request failed; the subclass names the reason. After TimedOut you may call this again.
        """
        return self._waiter.result(timeout)

    def done(self) -> bool:
        """Return whether the request is done, successfully or not. Queries Redis.

        Raises:
            BrokerUnreachable: Redis is unreachable.
        """
        return self._waiter.done()

    def revoke(self) -> None:
        """Revoke the request, so that no worker starts it, and `result` raises Revoked.

        A request that has ended keeps its result. One that a process works on ends as usual.

        Raises:
            BrokerUnreachable: Redis is unreachable.
        """
        self._waiter.revoke()


def wait_for_meta(job: Job[Any], timeout: Timeout = DEFAULT) -> Meta:
    """Return what Celery stored for a job, such as the name of the model; for hanner's own commands.

    Raises:
        TimedOut: it was not done in time.
        BrokerUnreachable: Redis is unreachable.
    """
    return job._waiter.wait(timeout)  # noqa: SLF001 - `Job` shows users nothing but its verbs
