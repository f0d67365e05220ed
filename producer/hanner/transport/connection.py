"""One client's link to Redis: publish, revoke, peek, listen. Opens its connections when they are first needed."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from kombu.connection import Connection
from kombu.exceptions import LimitExceeded, OperationalError
from kombu.pidbox import Mailbox
from kombu.utils.uuid import uuid
from redis import Redis
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from hanner.errors import BrokerUnreachable, HannerError, QueueFull, TimedOut
from hanner.queue.keys import QUEUES
from hanner.queue.routing import Destination, Priority, queue_of, read_routes, unknown
from hanner.queue.stats import Backlog, full, read_backlog
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery, redact_url
from hanner.transport.message import MessageBuilder
from hanner.transport.pending import FullError, PendingMessage
from hanner.transport.publisher import Publisher, Reach
from hanner.transport.result_listener import ResultListener
from hanner.transport.result_parser import Meta, read_meta
from hanner.transport.subscription import key
from hanner.utils import fork

REVOKERS = 4
"""Connections that revoke (two sockets each, in kombu); more threads take turns."""
LOOK = 1.0
"""Seconds for which what was seen of a full queue is told again."""
TROUBLE = (OperationalError, RedisError, LimitExceeded, OSError)
"""What the libraries raise when Redis is absent, silent or unwilling."""


class BrokerConnection:
    """Everything of a client's that touches the network. Threads may share it; it survives forks.

    Args:
        settings: Where Redis is and how patient to be.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.where = redact_url(settings.broker_url)
        self._app = make_celery(settings)
        self._store: Any = self._app.backend.client
        self.listener = ResultListener(self._store, where=self.where, patience=settings.connect_timeout)
        self._publishers: dict[str, Publisher] = {}
        self._reach = Reach()
        self._making = threading.Lock()
        self._default = Destination(settings.queue, Priority.INTERACTIVE)
        self._routes = read_routes(settings.routes)
        self._known: set[str] = set()  # models besides, of whose queues Redis knows
        self._closed = False
        self._fresh()
        fork.register(self)

    def _fresh(self) -> None:
        app = self._app
        # An explicit address: CELERY_BROKER_URL of the surrounding program would win over the app's own.
        self._connections = app.connection_for_write(app.conf["broker_url"]).Pool(REVOKERS)
        # No pool of producers: each revocation would want a second connection, and wait for those that wait as well.
        self._mailbox: Any = Mailbox(  # type: ignore[no-untyped-call]
            app.conf.control_exchange, type="fanout", accept=["json"], serializer="json"
        )
        self._letterhead = MessageBuilder(log_text=self.settings.log_text)
        self._looked: dict[Destination, tuple[float, Backlog]] = {}

    def reset_after_fork(self) -> None:
        """Use connections of our own in a forked child."""
        self._making = threading.Lock()
        for publisher in self._publishers.values():
            publisher.fresh()
        self._fresh()

    def _publisher(self, where: Destination) -> Publisher:
        """Return what pushes to a list; each has a connection of its own, opened with its first message."""
        with self._making:
            self._check_open()
            if (known := self._publishers.get(where.list)) is None:
                connect = self._store.connection_pool.make_connection
                limits: Any = {"limit": self.settings.max_queue, "patience": self._patience}
                known = self._publishers[where.list] = Publisher(connect, where.list, **limits, reach=self._reach)
            return known

    def destination(self, priority: str, model: str | None) -> Destination:
        """Return where a request goes; asks Redis when a model is named for the first time.

        Raises:
            InvalidSettings: there is no such priority.
            UnknownModel: nobody has ever run the model, and HANNER_ROUTES does not name it.
            BrokerUnreachable: Redis did not answer.
        """
        wanted = Priority.of(priority)
        if model is None:
            return Destination(self.settings.queue, wanted)
        queue = queue_of(model, self._routes)
        if not self.knows(model):
            self._check_open()
            with self.translated():
                there = self._store.sismember(QUEUES, queue)
            if not there:
                raise unknown(model, queue, self._routes)
            self._known.add(model)
        return Destination(queue, wanted)

    def knows(self, model: str | None) -> bool:
        """Say whether `destination` would not have to ask."""
        return model is None or model in self._routes or model in self._known

    def send(
        self, task: str, argument: str | Sequence[str], where: Destination, *, expires: float | None = None
    ) -> str:
        """Put one request into the queue; return its id. The argument has been checked.

        Args:
            task: A name of the contract.
            argument: The text, or the texts.
            where: The queue, and which of its lists.
            expires: Seconds after which a worker need not begin with it.

        Raises:
            BrokerUnreachable: Redis did not take it within `connect_timeout` seconds.
            QueueFull: `max_queue` requests wait in that list, or Redis is at its memory limit.
        """
        task_id: str = uuid()
        message = self._letterhead.message(task_id, task, argument, queue=where.list, now=time.time(), expires=expires)
        with self.translated(where):
            self._publisher(where).put(message.dump())
        message.sent()
        return task_id

    def post(
        self,
        task: str,
        argument: str | Sequence[str],
        where: Destination,
        *,
        expires: float | None,
        tell: Callable[[HannerError | None], None],
    ) -> tuple[str, PendingMessage]:
        """Have a thread put one request into the queue, and tell from there what became of it.

        Args:
            task: A name of the contract.
            argument: The text, or the texts.
            where: The queue, and which of its lists.
            expires: Seconds after which a worker need not begin with it.
            tell: Gets None when Redis has it, else what `send` would raise.

        Returns:
            The request's id, and what `withdraw` takes.
        """
        task_id: str = uuid()
        message = self._letterhead.message(task_id, task, argument, queue=where.list, now=time.time(), expires=expires)

        def told(error: Exception | None) -> None:
            if error is None:
                message.sent()
            tell(None if error is None else self._translation(error, where))

        return task_id, self._publisher(where).post(message.dump(), told)

    def withdraw(self, ticket: PendingMessage) -> bool:
        """Take back what was posted; False when it is being sent or has been."""
        return any(publisher.withdraw(ticket) for publisher in list(self._publishers.values()))

    @property
    def redis(self) -> Redis:
        """The connection pool's client."""
        self._check_open()
        return cast("Redis", self._store)

    def passing(self, error: HannerError) -> bool:
        """Say whether what refused a request may pass: a full queue, and a Redis that has been there before."""
        return isinstance(error, QueueFull) or (isinstance(error, BrokerUnreachable) and self._reach.there)

    def revoke(self, *task_ids: str) -> None:
        """Tell every worker not to begin with these requests.

        Raises:
            BrokerUnreachable: Redis did not take it.
        """
        self._check_open()
        with self.translated(), self._connection() as connection:
            self._mailbox(connection).abcast("revoke", {"task_id": list(task_ids), "terminate": False})

    def peek(self, task_id: str) -> Meta | None:
        """Return the meta of a task that is done, None while it is not.

        Raises:
            BrokerUnreachable: Redis did not answer.
            HannerError: what it answered is no result.
        """
        self._check_open()
        with self.translated():
            payload: Any = self._store.get(key(task_id))
        return None if payload is None else read_meta(payload)

    def backlog(self, model: str | None = None) -> Backlog:
        """Look at the queue, or at that of a model.

        Raises:
            UnknownModel: nobody has ever run the model, and HANNER_ROUTES does not name it.
            BrokerUnreachable: Redis did not answer.
        """
        self._check_open()
        queue = self.destination(Priority.INTERACTIVE, model).queue
        with self.translated():
            return read_backlog(self._store, queue)

    def late(self, seconds: float | None) -> HannerError:
        """Return the error for a result that did not come within so many seconds."""
        if self.listener.trouble is not None:
            return self._unreachable(self.listener.trouble)
        return TimedOut(
            f"no result came within {seconds or 0:g} s; the text may still be worked on. "
            "Ask job.result() again, or see whether a worker runs"
        )

    def close(self) -> None:
        """Close all connections; whoever still waits gets a HannerError."""
        if self._closed:
            return
        self._closed = True
        self.listener.close()
        with self._making:
            publishers = list(self._publishers.values())
        for publisher in publishers:
            publisher.close()
        self._connections.force_close_all()
        self._store.close()
        self._store.connection_pool.disconnect()

    @property
    def _patience(self) -> float:
        return self.settings.connect_timeout

    def _check_open(self) -> None:
        if self._closed:
            raise HannerError("this client is closed; make a new one")

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._connections.acquire(block=True, timeout=self._patience) as connection:
            try:
                yield connection
            except (OperationalError, RedisError, OSError):
                connection.collect()
                raise

    @contextlib.contextmanager
    def translated(self, where: Destination | None = None) -> Iterator[None]:
        """Turn the libraries' errors into ours, for whatever uses `redis`; `where` a request was to go."""
        try:
            yield
        except (FullError, OutOfMemoryError) as error:
            raise self._translation(error, where) from None
        except TROUBLE as error:
            raise self._translation(error, where) from error

    def _translation(self, error: Exception, where: Destination | None) -> HannerError:
        where = where or self._default
        if isinstance(error, FullError):
            waiting = f"{error.length:,} {where.priority} requests wait in {where.queue!r}"
            return self._full(f"{waiting} and HANNER_MAX_QUEUE allows {self.settings.max_queue:,}", where)
        if isinstance(error, OutOfMemoryError):
            return self._full(f"Redis at {self.where} is at its memory limit ({error})", where)
        if isinstance(error, HannerError):
            return error
        return self._unreachable(error)

    def _full(self, why: str, where: Destination) -> QueueFull:
        """Return the error for a queue that takes no more, with how long it will take."""
        now = time.monotonic()
        looked, backlog = self._looked.get(where, (float("-inf"), Backlog()))
        if now - looked > LOOK:  # else many who are refused at once would all ask
            backlog = Backlog()
            with contextlib.suppress(*TROUBLE):
                backlog = read_backlog(self._store, where.queue)
            self._looked[where] = now, backlog
        return full(why, backlog, bulk=where.priority is Priority.BULK)

    def _unreachable(self, error: Exception) -> BrokerUnreachable:
        if isinstance(error, ResponseError):
            return BrokerUnreachable(
                f"Redis at {self.where} is there and refuses the request ({error}); look at its disk, role and rights"
            )
        return BrokerUnreachable(
            f"Redis at {self.where} does not answer ({error}); start it, or set HANNER_BROKER_URL to where it runs"
        )
