"""All Redis of one client: a connection for each address in HANNER_BROKER_URL, and the choice between them.

A request is sent to one address and stays there: its result is awaited, and it is revoked, at that address. If there
are several, a thread for each reads the length of the queue and whether a worker runs, once per second, as long as the
client sends requests.
"""

import itertools
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from redis.exceptions import ResponseError

from hanner.address import parse_address
from hanner.errors import BrokerUnreachable, HannerError, QueueFull
from hanner.queue.keys import QueueKeys
from hanner.queue.routing import Destination
from hanner.settings import Settings
from hanner.transport.balancing import AddressState, choose
from hanner.transport.connection import BROKER_ERRORS, BrokerConnection
from hanner.utils import fork
from hanner.utils.backoff import Backoff

T = TypeVar("T")
log = logging.getLogger("hanner.transport.brokers")

CHECK_INTERVAL: Final = 1.0
"""Seconds between two checks of an address."""
IDLE_AFTER: Final = 10.0
"""Seconds without a request after which addresses are no longer checked."""
RETRY_FOR: Final = 0.2
"""Seconds for which one of several addresses is tried again before the next one is."""
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 0.5
"""Seconds between attempts if no address accepts a request."""
MAX_UNCONFIRMED: Final = 10_000
"""Requests per address of which it is not known whether Redis has them; they are revoked when it is up again."""


class Broker:
    """One address: its connection, what is known of it, and the thread that checks it.

    Args:
        settings: Settings with this address alone.
        is_alone: It is the only address.
    """

    def __init__(self, settings: Settings, *, is_alone: bool) -> None:
        self.tag: Final = "" if is_alone else parse_address(settings.broker_url).tag
        self.state: Final = AddressState()
        self.connection: Final = BrokerConnection(
            settings,
            id_suffix=f"-{self.tag}" if self.tag else "",
            retry_for=settings.connect_timeout if is_alone else min(RETRY_FOR, settings.connect_timeout),
            lengths=None if is_alone else self.state.lengths,
        )
        self._unconfirmed: deque[str] = deque(maxlen=MAX_UNCONFIRMED)
        self._destinations: set[Destination] = set()
        self._closed = False
        self._reset()
        fork.register(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._checker: Any = None
        self._used_at = 0.0
        self._wakeup = threading.Event()

    def reset_after_fork(self) -> None:
        """Check the address again in a forked child, with a connection and a thread of its own."""
        self._unconfirmed.clear()  # the parent revokes them
        self._reset()

    def use(self, destination: Destination, now: float) -> None:
        """Record that requests are sent to this queue, and check it from now on."""
        self._used_at = now
        self._destinations.add(destination)
        if self._thread is None:
            with self._lock:
                if self._thread is None and not self._closed:
                    self._thread = threading.Thread(target=self._run, name="hanner-check", daemon=True)
                    self._thread.start()

    def mark_down(self, error: HannerError, task_id: str | None) -> None:
        """Use other addresses until a check succeeds.

        Args:
            error: Why the address did not accept a request.
            task_id: Id of the request; Redis may have it although the connection broke.
        """
        if task_id is not None:
            self._unconfirmed.append(task_id)
        if not self.state.is_down:
            self.state.is_down = True
            log.warning("requests are sent to other addresses: %s", error)

    def close(self) -> None:
        """Stop the checks and close the connection."""
        self._closed = True
        self._wakeup.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=1.0)  # it is a daemon, so the program may exit before that
        self.connection.close()

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._closed or time.monotonic() - self._used_at > IDLE_AFTER:
                    self._disconnect()
                    self._thread = None
                    return
            self._check()
            self._wakeup.wait(CHECK_INTERVAL)

    def _check(self) -> None:
        """Read the state of the queues, and record whether Redis answered."""
        try:
            lengths, has_worker = self._read()
        except (*BROKER_ERRORS, HannerError) as error:  # the latter if the client is closed
            self._disconnect()
            if not self._closed:
                self.mark_down(self.connection.translate(error, None), None)
            return
        if self.state.is_down:
            log.warning("requests are sent to Redis at %s again", self.connection.url)
        self.state.mark_up(lengths, has_worker)
        self._revoke_unconfirmed()

    def _read(self) -> tuple[dict[str, int], dict[str, bool]]:
        """Return the lengths of the lists, and which queues have a worker; without those that Redis denies."""
        if self._checker is None:
            checker: Any = self.connection.new_connection()
            checker.connect()
            self._checker = checker
        destinations = list(self._destinations)
        lists = [destination.list for destination in destinations]
        queues = list(dict.fromkeys(destination.queue for destination in destinations))
        time_reply, *lengths = self._execute([("TIME",), *(("LLEN", name) for name in lists)])
        leases: list[Any] = []
        if not isinstance(time_reply, ResponseError):
            now_ms = int(time_reply[0]) * 1000
            leases = self._execute([("ZCOUNT", QueueKeys(queue).leases, now_ms, "+inf") for queue in queues])
        return (
            {name: length for name, length in zip(lists, lengths, strict=True) if isinstance(length, int)},
            {queue: count > 0 for queue, count in zip(queues, leases, strict=False) if isinstance(count, int)},
        )

    def _execute(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the replies of commands in one round trip; error replies, such as of missing permissions, are kept."""
        self._checker.send_packed_command(self._checker.pack_commands(commands))
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(self._checker.read_response())
            except ResponseError as error:
                replies.append(error)
        return replies

    def _revoke_unconfirmed(self) -> None:
        """Revoke requests that were sent to another address because the connection broke."""
        ids = list(self._unconfirmed)
        if not ids:
            return
        with suppress(HannerError):
            self.connection.revoke(*ids)
            for _ in ids:
                self._unconfirmed.popleft()

    def _disconnect(self) -> None:
        checker, self._checker = self._checker, None
        if checker is not None:
            with suppress(*BROKER_ERRORS):
                checker.disconnect()


class Brokers:
    """The addresses of a client. Threads may share it; it survives forks.

    Args:
        settings: The client's settings.
    """

    def __init__(self, settings: Settings) -> None:
        parts = settings.per_address()
        self.settings: Final = settings
        self.are_several: Final = len(parts) > 1
        self.all: Final = [Broker(part, is_alone=len(parts) == 1) for part in parts]
        self._turns = itertools.count(random.randrange(len(parts)))  # noqa: S311 - only spreads the clients

    @property
    def connections(self) -> list[BrokerConnection]:
        """The connections, in the order of the addresses."""
        return [broker.connection for broker in self.all]

    def delivery(self, destination: Destination) -> "Delivery":
        """Return the attempts to deliver one request; only for several addresses."""
        return Delivery(self, destination, next(self._turns))

    def best(self, destination: Destination, turn: int, tried: frozenset[int]) -> int | None:
        """Return the number of the best address that was not tried; None if all were."""
        now = time.monotonic()
        for broker in self.all:
            broker.use(destination, now)
            broker.state.awaited = broker.connection.listener.subscribed_count
        states = [broker.state for broker in self.all]
        return choose(states, destination, now=now, turn=turn, tried=tried)

    def of_task(self, task_id: str) -> BrokerConnection | None:
        """Return the connection of the address that a request was sent to; None if its id does not name one."""
        tag = task_id.rpartition("-")[2]
        return next((broker.connection for broker in self.all if broker.tag in {"", tag}), None)

    def read_any(self, read: Callable[[BrokerConnection], T | None]) -> T | None:
        """Return the first value that is not None, of the addresses in turn.

        Raises:
            BrokerUnreachable: no address has one, and some do not answer.
        """
        errors: list[HannerError] = []
        for broker in sorted(self.all, key=lambda broker: broker.state.is_down):
            try:
                value = read(broker.connection)
            except BrokerUnreachable as error:
                errors.append(error)
            else:
                if value is not None:
                    return value
        if errors:
            raise combine(errors)
        return None

    def is_transient(self, error: HannerError) -> bool:
        """Return whether a failed request can be retried: a queue is full, or an address was reachable before."""
        return any(connection.is_transient(error) for connection in self.connections)

    def close(self) -> None:
        """Close all connections; callers that wait for results get a HannerError."""
        for connection in self.connections:
            connection.listener.close()
        for broker in self.all:
            broker.close()


class Delivery:
    """The attempts to send one request to one of several addresses.

    The caller calls `next_connection`, tries to send, calls `on_failure` if that fails, waits, and tries again.

    Args:
        brokers: The addresses.
        destination: The request's queue and list.
        turn: See `choose`.
    """

    def __init__(self, brokers: Brokers, destination: Destination, turn: int) -> None:
        self._brokers = brokers
        self._destination = destination
        self._turn = turn
        self._errors: dict[int, HannerError] = {}
        self._number = 0
        self._backoff = Backoff(
            FIRST_PAUSE, LONGEST_PAUSE, limit=brokers.settings.connect_timeout, started=time.monotonic()
        )

    def next_connection(self) -> BrokerConnection:
        """Return the connection of the best address that was not tried in this round."""
        number = self._brokers.best(self._destination, self._turn, frozenset(self._errors))
        assert number is not None  # `on_failure` begins a new round, or raises
        broker, self._number = self._brokers.all[number], number
        broker.state.count_sent(self._destination)
        return broker.connection

    def on_failure(self, error: HannerError, task_id: str | None) -> float:
        """Record that an address did not accept the request; return the seconds to wait before the next attempt.

        Raises:
            QueueFull: the queue is full at each address that answers.
            BrokerUnreachable: no address has answered for `connect_timeout` seconds, or none ever did.
            HannerError: the given one, if another address would not help.
        """
        broker = self._brokers.all[self._number]
        if isinstance(error, QueueFull):
            broker.state.mark_full(self._destination, time.monotonic())
        elif isinstance(error, BrokerUnreachable):
            broker.mark_down(error, task_id)
        else:
            raise error
        self._errors[self._number] = error
        if len(self._errors) < len(self._brokers.all):
            return 0.0
        full = [each for each in self._errors.values() if isinstance(each, QueueFull)]
        if full:
            raise full[-1]
        final = combine(list(self._errors.values()))
        pause = self._backoff.next_pause(time.monotonic()) if self._brokers.is_transient(error) else None
        if pause is None:
            raise final
        self._errors.clear()
        return pause


def combine(errors: Sequence[HannerError]) -> HannerError:
    """Return one error for those of several addresses."""
    if len(errors) == 1:
        return errors[0]
    return BrokerUnreachable("no address of HANNER_BROKER_URL can be used: " + "; ".join(map(str, errors)))
