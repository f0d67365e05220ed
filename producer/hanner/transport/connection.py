"""One client's connection to Redis: owns publishers, result listener and pools, and translates errors.

Opens connections on first use. Threads may share it; it survives forks.
"""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

from kombu.connection import Connection
from kombu.exceptions import LimitExceeded, OperationalError
from kombu.pidbox import Mailbox
from redis import Redis
from redis.exceptions import AuthenticationError, OutOfMemoryError, RedisError, ResponseError

from hanner.address import redact_url
from hanner.errors import BrokerUnreachable, HannerError, QueueFull, TimedOut
from hanner.queue.keys import QUEUES, as_text, result_key
from hanner.queue.revocation import Revocation, revoke
from hanner.queue.routing import Destination, Priority
from hanner.queue.stats import Backlog, queue_full_error, read_backlog
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery
from hanner.transport.message import MessageBuilder
from hanner.transport.publisher import BrokerState, Publisher, QueueLimitError
from hanner.transport.result_listener import ResultListener
from hanner.transport.result_parser import Meta, parse_meta
from hanner.transport.server_mode import unsupported_reason
from hanner.utils import fork
from hanner.utils.clock import RedisClock
from hanner.utils.stack_file import find_running_stack

REVOKE_CONNECTIONS = 4
"""Connections for revoking (two sockets each, in kombu); more threads take turns."""
BACKLOG_VALID_FOR = 1.0
"""Seconds for which the backlog of a full queue is reused in errors."""
BROKER_ERRORS = (OperationalError, RedisError, LimitExceeded, OSError)
"""Errors that the libraries raise when Redis is unreachable, does not answer, or refuses a command."""


class BrokerConnection:
    """Everything of a client that uses the network.

    Args:
        settings: The broker's URL, which is a single one, timeouts and limits.
        id_suffix: Appended to the ids of requests, to name the address among several; empty if there is one.
        retry_for: Seconds for which sending is retried; `connect_timeout` when None.
        lengths: Updated with the lengths of the lists, as Redis reports them when messages are pushed.

    Attributes:
        url: The broker's URL without its password.
        id_suffix: See above.
        listener: Receives results.
        messages: Builds messages.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        id_suffix: str = "",
        retry_for: float | None = None,
        lengths: dict[str, int] | None = None,
    ) -> None:
        self.settings = settings
        self.id_suffix = id_suffix
        self.url = redact_url(settings.broker_url)
        self._app = make_celery(settings)
        self._redis: Any = self._app.backend.client
        self.listener = ResultListener(self._redis, url=self.url, timeout=settings.connect_timeout)
        self._publishers: dict[str, Publisher] = {}
        self._broker = BrokerState(retry_for=retry_for, lengths=lengths)
        self._closed = False
        self._reset()
        fork.register(self)

    def _reset(self) -> None:
        app = self._app
        self._lock = threading.Lock()
        # The explicit URL takes precedence over CELERY_BROKER_URL of the surrounding program.
        self._pool = app.connection_for_write(app.conf["broker_url"]).Pool(REVOKE_CONNECTIONS)
        # Without a pool of producers, which would open a second connection per revocation and wait for it.
        self._mailbox: Any = Mailbox(  # type: ignore[no-untyped-call]
            app.conf.control_exchange, type="fanout", accept=["json"], serializer="json"
        )
        self.messages = MessageBuilder(log_text=self.settings.log_text)
        self._backlogs: dict[Destination, tuple[float, Backlog]] = {}

    def reset_after_fork(self) -> None:
        """Use new connections in a forked child."""
        for publisher in self._publishers.values():
            publisher.reset_after_fork()
        self._reset()

    @property
    def clock(self) -> RedisClock:
        """The time of Redis, which publishers read."""
        return self._broker.clock

    @property
    def redis(self) -> Redis:
        """The client with the connection pool. Use it within `translate_errors`.

        Raises:
            HannerError: the client is closed.
        """
        self._check_open()
        return cast("Redis", self._redis)

    def new_connection(self) -> Any:
        """Return a connection outside of the pool, which is not opened yet.

        The pool's own `make_connection` counts each one against its limit for ever, even if it was never opened.

        Raises:
            HannerError: the client is closed.
        """
        pool: Any = self.redis.connection_pool
        return pool.connection_class(**pool.connection_kwargs)

    def publisher(self, destination: Destination) -> Publisher:
        """Return the publisher of a list; each has its own connection, opened with its first message.

        Raises:
            HannerError: the client is closed.
        """
        with self._lock:
            self._check_open()
            publisher = self._publishers.get(destination.list)
            if publisher is None:
                publisher = self._publishers[destination.list] = Publisher(
                    self.new_connection,
                    destination.list,
                    limit=self.settings.max_queue,
                    timeout=self.settings.connect_timeout,
                    broker=self._broker,
                )
            return publisher

    def revoke(self, *task_ids: str) -> None:
        """Revoke requests that have not ended and do not run, and send Celery's revoke command to all workers.

        Raises:
            BrokerUnreachable: Redis did not accept the command.
        """
        self._check_open()
        with self.translate_errors():
            ids = self._revoke_in_redis(task_ids)
            if not ids:
                return
            with self._control_connection() as connection:
                self._mailbox(connection).abcast("revoke", {"task_id": ids, "terminate": False})

    def _revoke_in_redis(self, task_ids: Sequence[str]) -> list[str]:
        """Store the results of revoked requests; return the ids of those that workers have to discard."""
        queues = {self.settings.queue, *map(as_text, self._redis.smembers(QUEUES))}
        try:
            effects = revoke(self._redis, queues, task_ids, expires=self.settings.result_ttl)
        except OutOfMemoryError:
            return list(task_ids)
        return [task_id for task_id, effect in zip(task_ids, effects, strict=True) if effect is Revocation.REVOKED]

    def read_meta(self, task_id: str) -> Meta | None:
        """Return the stored meta of a task, or None if it is not done.

        Raises:
            BrokerUnreachable: Redis did not answer.
            HannerError: the stored value is not a result.
        """
        with self.translate_errors():
            payload: Any = self.redis.get(result_key(task_id))
        return None if payload is None else parse_meta(payload)

    def close(self) -> None:
        """Close all connections; callers that wait for results get a HannerError."""
        if self._closed:
            return
        self._closed = True
        self.listener.close()
        with self._lock:
            publishers = list(self._publishers.values())
        for publisher in publishers:
            publisher.close()
        self._pool.force_close_all()
        self._redis.close()
        self._redis.connection_pool.disconnect()

    def is_transient(self, error: HannerError) -> bool:
        """Return whether a failed request can be retried: the queue is full, or Redis was reachable before."""
        return isinstance(error, QueueFull) or (isinstance(error, BrokerUnreachable) and self._broker.ever_connected)

    def timeout_error(self, seconds: float | None, age: float = 0.0) -> HannerError:
        """Return the error for a result that did not arrive in time.

        Args:
            seconds: The timeout.
            age: Seconds since the request was sent; infinite if another process or an earlier `job` call sent it.
        """
        if self.listener.last_error is not None:
            return self._unreachable_error(self.listener.last_error)
        ttl = self.settings.result_ttl
        if age > ttl:
            return TimedOut(
                f"no result came within {seconds or 0:g} s. The request may be unfinished or unknown, or its "
                f"result may have expired: results are kept for {ttl} s. Read it sooner, raise HANNER_RESULT_TTL, or "
                "send it again"
            )
        return TimedOut(
            f"no result came within {seconds or 0:g} s; the request may still complete. "
            "Call job.result() again, or check that a worker runs"
        )

    @contextlib.contextmanager
    def translate_errors(self, destination: Destination | None = None) -> Iterator[None]:
        """Raise the libraries' errors as HannerErrors; `destination` is that of the request, if there is one."""
        try:
            yield
        except (QueueLimitError, OutOfMemoryError) as error:
            raise self.translate(error, destination) from None
        except BROKER_ERRORS as error:
            raise self.translate(error, destination) from error

    def translate(self, error: Exception, destination: Destination | None) -> HannerError:
        """Return a library's error as a HannerError."""
        destination = destination or Destination(self.settings.queue, Priority.INTERACTIVE)
        if isinstance(error, QueueLimitError):
            waiting = f"{error.length:,} {destination.priority} requests wait in {destination.queue!r}"
            reason = f"{waiting} and HANNER_MAX_QUEUE allows {self.settings.max_queue:,}"
            return self._queue_full_error(reason, destination)
        if isinstance(error, OutOfMemoryError):
            return self._queue_full_error(f"Redis at {self.url} is at its memory limit ({error})", destination)
        if isinstance(error, HannerError):
            return error
        return self._unreachable_error(error)

    def _queue_full_error(self, reason: str, destination: Destination) -> QueueFull:
        now = time.monotonic()
        read_at, backlog = self._backlogs.get(destination, (float("-inf"), Backlog()))
        if now - read_at > BACKLOG_VALID_FOR:  # many callers that fail at once must not all query Redis
            backlog = Backlog()
            with contextlib.suppress(*BROKER_ERRORS):
                backlog = read_backlog(self._redis, destination.queue)
            self._backlogs[destination] = now, backlog
        return queue_full_error(reason, backlog, bulk=destination.priority is Priority.BULK)

    def _unreachable_error(self, error: Exception) -> BrokerUnreachable:
        if (reason := unsupported_reason(error)) is not None:
            return BrokerUnreachable(f"Redis at {self.url} cannot be used: {reason}")
        if isinstance(error, AuthenticationError):
            advice = "correct its user name and password in HANNER_BROKER_URL"
            return BrokerUnreachable(f"Redis at {self.url} refuses the login ({error}); {advice}")
        if isinstance(error, ResponseError) and "db index" in str(error).lower():
            advice = "correct its number in HANNER_BROKER_URL"
            return BrokerUnreachable(f"Redis at {self.url} has no such database ({error}); {advice}")
        if isinstance(error, ResponseError):
            return BrokerUnreachable(
                f"Redis at {self.url} refuses the request ({error}); check its disk, role and permissions"
            )
        advice = "start it, or set HANNER_BROKER_URL to its address"
        stack = find_running_stack()
        if stack is not None and stack.broker_url != self.settings.broker_url:
            advice = f"to use the one of `hanner up`, {redact_url(stack.broker_url)}, unset HANNER_BROKER_URL"
        return BrokerUnreachable(f"Redis at {self.url} does not answer ({error}); {advice}")

    @contextlib.contextmanager
    def _control_connection(self) -> Iterator[Connection]:
        with self._pool.acquire(block=True, timeout=self.settings.connect_timeout) as connection:
            try:
                yield connection
            except (OperationalError, RedisError, OSError):
                connection.collect()
                raise

    def _check_open(self) -> None:
        if self._closed:
            raise HannerError("this client is closed; make a new one")
