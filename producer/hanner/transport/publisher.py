"""Puts messages into the queue: one connection, one round trip for all that threads and coroutines have ready by then.

Whoever comes while a round trip is under way waits for the next one, which takes all who wait along. So nobody waits on
a timer, and the busier it gets, the less a message costs.
"""

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,  # noqa: A004 - the name redis-py gives it
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004
)

from hanner.errors import HannerError
from hanner.transport.pending import FullError, PendingMessage

log = logging.getLogger("hanner.transport.publisher")

BATCH_MESSAGES: Final = 512
BATCH_BYTES: Final = 1 << 20
"""Most that goes in one round trip; a larger message goes alone."""
FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.5
"""Seconds between attempts while Redis restarts or fails over."""
FRESH: Final = 1.0
"""Seconds for which the queue's length, as Redis told it with the last message, is relied upon."""
SMALL: Final = 1000
"""Limits below are always checked in Redis itself."""

# Takes as many of the messages as there is room for; returns their number, and the length of the queue after that.
# KEYS: the queue's list. ARGV: the limit, messages.
PUSH: Final = """
local length = redis.call('LLEN', KEYS[1])
local taken = math.max(0, math.min(#ARGV - 1, tonumber(ARGV[1]) - length))
for i = 2, taken + 1 do length = redis.call('LPUSH', KEYS[1], ARGV[i]) end
return {taken, length}
"""
PUSH_SHA: Final = hashlib.sha1(PUSH.encode(), usedforsecurity=False).hexdigest()

PASSING = ("UNBLOCKED", "MASTERDOWN", "TRYAGAIN", "NOREPLICAS", "CLUSTERDOWN")
"""Replies that another attempt may not get, besides those that redis-py has classes for."""


@dataclass(slots=True)
class Depth:
    """What is known of the queue's length without asking."""

    length: int = 0
    told_at: float = field(default=float("-inf"))

    def roomy(self, limit: int, count: int, now: float) -> bool:
        """Say whether so many messages fit beyond doubt: then Redis need not look, which it would for each push."""
        return limit >= SMALL and now - self.told_at < FRESH and 2 * (self.length + count) <= limit


@dataclass(slots=True)
class Reach:
    """Whether Redis has ever answered; publishers of one client share it."""

    there: bool = False


class Publisher:
    """Pushes messages to one list. Threads may share it.

    Args:
        connect: Makes a connection of redis-py's, not yet opened.
        queue: The list.
        limit: Most messages that may wait in it; 0 is no limit.
        patience: Seconds for which attempts go on while Redis restarts, loads its data or fails over.
        reach: Shared with the client's other publishers.
    """

    def __init__(self, connect: Callable[[], Any], queue: str, *, limit: int, patience: float, reach: Reach) -> None:
        self._reach = reach
        self._connect = connect
        self._queue = queue
        self._limit = limit
        self._patience = patience
        self._ended = False
        self.fresh()

    def fresh(self) -> None:
        """Start over, as in a forked child; connections are left alone."""
        self._closed = threading.Event()
        self._connection: Any = None
        self._depth = Depth()
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._waiting: deque[PendingMessage] = deque()
        self._thread: threading.Thread | None = None

    def put(self, message: bytes) -> None:
        """Push a message; return when Redis has it.

        Raises:
            FullError: the queue has no room for it.
            RedisError: Redis did not take it; it may have it all the same when the connection broke.
            HannerError: it was closed meanwhile.
        """
        ticket = PendingMessage(message)
        with self._lock:
            self._check_open()
            self._waiting.append(ticket)
        try:
            with self._turn:  # whose turn it is sends for all; often another has sent ours before it is
                while not ticket.done:
                    self._send_waiting()
        except BaseException:  # Ctrl-C
            self.withdraw(ticket)
            raise
        if ticket.error is not None:
            raise ticket.error

    def post(self, message: bytes, tell: Callable[[Exception | None], None]) -> PendingMessage:
        """Have a thread push a message, and tell what became of it from there: None, or what `put` would raise.

        Raises:
            HannerError: it is closed.
        """
        ticket = PendingMessage(message, tell)
        with self._ready:
            self._check_open()
            self._waiting.append(ticket)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hanner-publish", daemon=True)
                self._thread.start()
            self._ready.notify()
        return ticket

    def withdraw(self, ticket: PendingMessage) -> bool:
        """Take a message back; False when it is being sent or has been."""
        with self._lock:
            try:
                self._waiting.remove(ticket)
            except ValueError:
                return False
        return True

    def close(self) -> None:
        """Let what is being sent come to its end, refuse the rest."""
        with self._ready:
            self._ended = True
            self._closed.set()
            refused, self._waiting = list(self._waiting), deque()
            self._ready.notify_all()
        for ticket in refused:
            ticket.settle(_closed())
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(self._patience)
        if self._turn.acquire(timeout=self._patience):
            try:
                self._hang_up()
            finally:
                self._turn.release()

    def _check_open(self) -> None:
        if self._ended:
            raise _closed()

    def _run(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
            with self._turn:
                self._send_waiting()

    def _send_waiting(self) -> None:
        """Send what waits, as much as one round trip takes; the caller's turn it is."""
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
            taken, length = self._deliver([ticket.message for ticket in batch])
            for ticket in batch[taken:]:
                ticket.settle(FullError(length))
        except Exception as caught:  # noqa: BLE001 - each caller raises it
            error = caught
        except BaseException as caught:
            error = ConnectionError(f"interrupted by {type(caught).__name__}")
            raise
        finally:
            for ticket in batch:
                ticket.settle(error)  # type: ignore[arg-type]

    def _deliver(self, messages: Sequence[bytes]) -> tuple[int, int]:
        """Push messages, again while what is wrong may pass; return how many were taken, and the queue's length."""
        until = time.monotonic() + self._patience
        pause = 0.0  # a connection may have died since it was last used; the next one tells more
        while True:
            used = self._connection is not None
            try:
                return self._push(messages)
            except BaseException as error:
                if not isinstance(error, ResponseError) or isinstance(error, ReadOnlyError):
                    self._hang_up()
                if not self._may_pass(error, used=used) or time.monotonic() + pause >= until:
                    raise
                log.info("Redis did not take a message, trying again in %.2f s: %s", pause, error)
            if self._closed.wait(pause):
                raise _closed()
            pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * pause))

    def _may_pass(self, error: BaseException, *, used: bool) -> bool:
        """Say whether to try again. A Redis that was never reached is probably not where it is looked for."""
        if isinstance(error, AuthenticationError):
            return False
        if isinstance(error, BusyLoadingError | ReadOnlyError):
            return True
        if isinstance(error, ResponseError):
            return str(error).startswith(PASSING)
        return isinstance(error, ConnectionError | TimeoutError | OSError) and (used or self._reach.there)

    def _push(self, messages: Sequence[bytes]) -> tuple[int, int]:
        if self._connection is None:
            connection = self._connect()
            connection.connect()
            self._connection = connection
        if not self._limit or self._depth.roomy(self._limit, len(messages), time.monotonic()):
            taken, length = len(messages), int(self._ask("LPUSH", self._queue, *messages))
        else:
            taken, length = map(int, self._eval(messages))
        self._reach.there = True
        self._depth = Depth(length, time.monotonic())
        return taken, length

    def _eval(self, messages: Sequence[bytes]) -> Any:
        try:
            return self._ask("EVALSHA", PUSH_SHA, 1, self._queue, self._limit, *messages)
        except NoScriptError:  # a fresh Redis, or SCRIPT FLUSH
            return self._ask("EVAL", PUSH, 1, self._queue, self._limit, *messages)

    def _ask(self, *command: Any) -> Any:
        self._connection.send_command(*command)
        return self._connection.read_response(disconnect_on_error=True)

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.disconnect()
            except (RedisError, OSError):  # it was broken
                log.debug("a broken connection did not close", exc_info=True)


def _closed() -> HannerError:
    return HannerError("this client is closed; make a new one")
