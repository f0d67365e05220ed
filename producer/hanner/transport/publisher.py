"""Publishes messages to one Redis list. Owns a connection and, for `publish_async`, a thread.

Messages that become ready during a round trip are sent together in the next one. So no caller waits for a timer, and
the cost of a message falls as the load rises.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,  # noqa: A004 - the name redis-py gives it
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004
)

from hanner.errors import HannerError
from hanner.transport.server_mode import check_mode
from hanner.utils.backoff import Backoff
from hanner.utils.clock import RedisClock
from hanner.utils.lua import load_script

T = TypeVar("T")
log = logging.getLogger("hanner.transport.publisher")

BATCH_MESSAGES: Final = 512
BATCH_BYTES: Final = 1 << 20
"""Limits of one round trip; a larger message is sent alone."""
FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.5
"""Seconds between attempts while Redis restarts or fails over."""
LENGTH_VALID_FOR: Final = 1.0
"""Seconds for which the queue's length, known from the last reply, is used to skip the check in Redis."""
ALWAYS_CHECKED_BELOW: Final = 1000
"""Smaller limits than this are always checked in Redis."""
PUBLISH: Final = load_script("hanner.transport", "publish")
TRANSIENT_REPLIES: Final = ("UNBLOCKED", "MASTERDOWN", "TRYAGAIN", "NOREPLICAS", "CLUSTERDOWN")
"""Error replies that are retried, in addition to those that redis-py has classes for."""


class QueueLimitError(Exception):
    """The queue has no room for a message; `length` requests wait in it. The connection turns it into QueueFull."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length


@dataclass(slots=True, eq=False)
class PendingMessage:
    """A message that waits to be sent, and its outcome.

    Attributes:
        message: The message.
        callback: Called once with None when Redis has the message, or with the error.
        done: Whether the outcome is known.
        error: Why Redis does not have it, if it does not.
    """

    message: bytes
    callback: Callable[[Exception | None], None] | None = None
    done: bool = False
    error: Exception | None = None

    def resolve(self, error: Exception | None) -> None:
        """Record the outcome; only the first call counts."""
        if not self.done:
            self.error = error
            self.done = True
            if self.callback is not None:
                try:
                    self.callback(error)
                except Exception:  # the callbacks of other messages must still be called
                    log.exception("a callback of a published message failed")


@dataclass(slots=True)
class QueueLength:
    """The last known length of the queue."""

    length: int = 0
    known_at: float = field(default=float("-inf"))

    def has_room(self, limit: int, count: int, now: float) -> bool:
        """Return whether `count` messages certainly fit: then Redis does not have to check, which slows every push."""
        is_recent = now - self.known_at < LENGTH_VALID_FOR
        return limit >= ALWAYS_CHECKED_BELOW and is_recent and 2 * (self.length + count) <= limit


@dataclass(slots=True)
class BrokerState:
    """What all publishers of one client share.

    Attributes:
        ever_connected: Redis was reached.
        clock: The time of Redis.
        retry_for: Seconds for which attempts are repeated; the publisher's timeout when None.
        lengths: By list, its last known length; None if it is not needed.
    """

    ever_connected: bool = False
    clock: RedisClock = field(default_factory=RedisClock)
    retry_for: float | None = None
    lengths: dict[str, int] | None = None


class Publisher:
    """Publishes messages to one list. Threads may share it.

    Args:
        connect: Returns a connection of redis-py that is not opened yet.
        queue: The list.
        limit: Maximum number of messages in the list; 0 is no limit.
        timeout: Seconds for which attempts are repeated while Redis restarts, loads its data or fails over, unless
            `broker` has another limit; and for which `close` waits.
        broker: Shared with the client's other publishers.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        queue: str,
        *,
        limit: int,
        timeout: float,
        broker: BrokerState,
    ) -> None:
        self._connect = connect
        self._queue = queue
        self._limit = limit
        self._timeout = timeout
        self._retry_for = timeout if broker.retry_for is None else broker.retry_for
        self._broker = broker
        self._closed = False
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Drop the parent's connection, locks and messages without closing anything."""
        self._closing = threading.Event()
        self._connection: Any = None
        self._last_length = QueueLength()
        self._send_lock = threading.Lock()
        self._lock = threading.Lock()
        self._has_messages = threading.Condition(self._lock)
        self._waiting: deque[PendingMessage] = deque()
        self._thread: threading.Thread | None = None

    def publish(self, message: bytes) -> None:
        """Push a message; return when Redis has it.

        Raises:
            QueueLimitError: the queue has no room for it.
            RedisError: Redis did not confirm it; if the connection broke, Redis may have it anyway.
            HannerError: the publisher was closed.
        """
        pending = PendingMessage(message)
        with self._lock:
            self._check_open()
            self._waiting.append(pending)
        try:
            with self._send_lock:  # its holder sends for all threads; often another thread has already sent this one
                while not pending.done:
                    self._send_batch()
        except BaseException:  # Ctrl-C
            self.cancel(pending)
            raise
        if pending.error is not None:
            raise pending.error

    def sync_clock(self) -> None:
        """Read the time of Redis, unless it was read recently; with the retries of `publish`.

        Raises:
            RedisError: Redis did not answer.
            HannerError: the publisher was closed.
        """
        with self._send_lock:
            if not self._broker.clock.is_known():
                self._retry(self._read_time)

    def publish_async(
        self,
        message: bytes,
        callback: Callable[[Exception | None], None],
        soon: Callable[[Callable[[], None]], None] | None = None,
    ) -> PendingMessage:
        """Push a message from a thread, and call `callback` there with None, or with what `publish` would raise.

        Args:
            message: The message.
            callback: See above.
            soon: Called with a function to call soon, which wakes the thread; by default it is woken at once. So one
                wake-up is enough for many messages, and the thread does not interrupt the caller.

        Raises:
            HannerError: the publisher is closed.
        """
        pending = PendingMessage(message, callback)
        with self._has_messages:
            self._check_open()
            self._waiting.append(pending)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hanner-publish", daemon=True)
                self._thread.start()
            if soon is None:
                self._has_messages.notify()
        if soon is not None:
            soon(self._wake)
        return pending

    def _wake(self) -> None:
        with self._has_messages:
            self._has_messages.notify()

    def cancel(self, pending: PendingMessage) -> bool:
        """Remove a message that has not been sent; return False if it is being sent or has been sent."""
        with self._lock:
            try:
                self._waiting.remove(pending)
            except ValueError:
                return False
        return True

    def close(self) -> None:
        """Finish the batch that is being sent, fail all other messages, and close the connection."""
        with self._has_messages:
            self._closed = True
            self._closing.set()
            unsent, self._waiting = list(self._waiting), deque()
            self._has_messages.notify_all()
        for pending in unsent:
            pending.resolve(_closed_error())
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(self._timeout)
        if self._send_lock.acquire(timeout=self._timeout):
            try:
                self._disconnect()
            finally:
                self._send_lock.release()

    def _check_open(self) -> None:
        if self._closed:
            raise _closed_error()

    def _run(self) -> None:
        while True:
            with self._has_messages:
                self._has_messages.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
            with self._send_lock:
                self._send_batch()

    def _send_batch(self) -> None:
        """Send one batch of pending messages. The caller holds the send lock."""
        batch: list[PendingMessage] = []
        size = 0
        with self._lock:
            while self._waiting and len(batch) < BATCH_MESSAGES:
                size += len(self._waiting[0].message)
                if batch and size > BATCH_BYTES:
                    break
                batch.append(self._waiting.popleft())
        if not batch:
            return
        error: BaseException | None = None
        try:
            accepted, length = self._retry(lambda: self._push([pending.message for pending in batch]))
            for pending in batch[accepted:]:
                pending.resolve(QueueLimitError(length))
        except Exception as caught:  # noqa: BLE001 - each caller raises it
            error = caught
        except BaseException as caught:
            error = ConnectionError(f"interrupted by {type(caught).__name__}")
            raise
        finally:
            for pending in batch:
                pending.resolve(error)  # type: ignore[arg-type]

    def _retry(self, call: Callable[[], T]) -> T:
        """Call with retries on transient errors. The caller holds the send lock."""
        started = time.monotonic()
        backoff: Backoff | None = None
        while True:
            was_connected = self._connection is not None
            try:
                return call()
            except BaseException as error:
                if not isinstance(error, ResponseError) or isinstance(error, ReadOnlyError):
                    self._disconnect()
                if not self._is_transient(error, was_connected=was_connected):
                    raise
                # The first retry is immediate: the connection may have been closed since it was last used.
                backoff = backoff or Backoff(
                    FIRST_PAUSE, LONGEST_PAUSE, limit=self._retry_for, started=started, immediate=True
                )
                pause = backoff.next_pause(time.monotonic())
                if pause is None:
                    raise
                log.info("Redis did not accept a message, retrying in %.2f s: %s", pause, error)
            if self._closing.wait(pause):
                raise _closed_error()

    def _is_transient(self, error: BaseException, *, was_connected: bool) -> bool:
        """Return whether to retry. If Redis was never reached, its address is probably wrong, so it is not retried."""
        if isinstance(error, AuthenticationError):
            return False
        if isinstance(error, BusyLoadingError | ReadOnlyError):
            return True
        if isinstance(error, ResponseError):
            return str(error).startswith(TRANSIENT_REPLIES)
        is_network_error = isinstance(error, ConnectionError | TimeoutError | OSError)
        return is_network_error and (was_connected or self._broker.ever_connected)

    def _open(self) -> None:
        if self._connection is None:
            connection = self._connect()
            connection.connect()
            try:
                check_mode(connection)
            except BaseException:
                connection.disconnect()
                raise
            self._connection = connection

    def _read_time(self) -> None:
        self._open()
        try:
            seconds, micros = self._execute("TIME")
            now = int(seconds) + int(micros) / 1e6
        except NoPermissionError:
            now = time.time()
        self._broker.ever_connected = True
        self._broker.clock.update(now)

    def _push(self, messages: Sequence[bytes]) -> tuple[int, int]:
        """Push messages; return how many were accepted, and the queue's length."""
        self._open()
        if not self._limit or self._last_length.has_room(self._limit, len(messages), time.monotonic()):
            accepted, length = len(messages), int(self._execute("LPUSH", self._queue, *messages))
        else:
            accepted, length = map(int, self._push_within_limit(messages))
        self._broker.ever_connected = True
        self._last_length = QueueLength(length, time.monotonic())
        if self._broker.lengths is not None:
            self._broker.lengths[self._queue] = length
        return accepted, length

    def _push_within_limit(self, messages: Sequence[bytes]) -> Any:
        try:
            return self._execute("EVALSHA", PUBLISH.sha, 1, self._queue, self._limit, *messages)
        except NoScriptError:  # Redis restarted, or SCRIPT FLUSH
            return self._execute("EVAL", PUBLISH.script, 1, self._queue, self._limit, *messages)

    def _execute(self, *command: Any) -> Any:
        self._connection.send_command(*command)
        return self._connection.read_response(disconnect_on_error=True)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.disconnect()
            except (RedisError, OSError):
                log.debug("a broken connection could not be closed", exc_info=True)


def _closed_error() -> HannerError:
    return HannerError("this client is closed; make a new one")
