"""One client's link to Redis: publish, revoke, peek, listen. Opens its connections when they are first needed."""

import contextlib
import functools
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kombu.connection import Connection
from kombu.exceptions import LimitExceeded, OperationalError
from kombu.messaging import Producer
from kombu.pidbox import Mailbox
from kombu.pools import ProducerPool
from kombu.utils.uuid import uuid
from redis.exceptions import AuthenticationError, OutOfMemoryError, RedisError, ResponseError

from nerq import contract, forks
from nerq.broker import make_celery, shown
from nerq.errors import BrokerUnreachable, NerqError, QueueFull, TimedOut
from nerq.outcomes import Meta, read_meta
from nerq.pubsub import key
from nerq.results import ResultListener
from nerq.settings import Settings

PUBLISHERS = 4
"""Connections that publish (two sockets each, in kombu); more threads take turns, which Python makes them do anyway."""
TROUBLE = (OperationalError, RedisError, LimitExceeded, OSError)
"""What the libraries raise when Redis is absent, silent or unwilling."""


class Link:
    """Everything of a client's that touches the network. Threads may share it; it survives forks.

    Args:
        settings: Where Redis is and how patient to be.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.where = shown(settings.broker_url)
        self._app = make_celery(settings)
        self._store: Any = self._app.backend.client
        self.listener = ResultListener(self._store, where=self.where, patience=settings.connect_timeout)
        self._closed = False
        self._fresh()
        forks.register(self)

    def _fresh(self) -> None:
        app = self._app
        # An explicit address: CELERY_BROKER_URL of the surrounding program would win over the app's own.
        self._connections = app.connection_for_write(app.conf["broker_url"]).Pool(PUBLISHERS)
        self._publishers: Any = ProducerPool(  # type: ignore[no-untyped-call]
            self._connections, limit=PUBLISHERS, Producer=functools.partial(Producer, auto_declare=False)
        )
        self._mailbox: Any = Mailbox(  # type: ignore[no-untyped-call]
            app.conf.control_exchange,
            type="fanout",
            accept=["json"],
            serializer="json",
            producer_pool=self._publishers,
        )
        self._origin = f"nerq{os.getpid()}@{socket.gethostname()}"
        self._send = app.amqp.send_task_message

    def after_fork(self) -> None:
        """Use connections of our own in a forked child."""
        self._fresh()

    def send(
        self,
        task: str,
        argument: str | Sequence[str],
        *,
        expires: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Put one request into the queue; return its id. The argument has been checked.

        Args:
            task: A name of the contract.
            argument: The text, or the texts.
            expires: Seconds after which a worker need not begin with it.
            headers: Headers that the message has besides Celery's.

        Raises:
            BrokerUnreachable: Redis did not take it within `connect_timeout` seconds.
            QueueFull: Redis is at its memory limit.
        """
        self._check_open()
        task_id: str = uuid()
        args = [argument]
        message = self._app.amqp.create_task_message(
            task_id,
            task,
            args,
            {},
            expires=expires,
            argsrepr=None if self.settings.log_text else contract.masked(args),
            kwargsrepr="{}",
            origin=self._origin,
        )
        if headers:
            message.headers.update(headers)
        with self._translated(), self._publishers.acquire(block=True, timeout=self._patience) as producer:
            self._publish(producer, task, message)
        return task_id

    def _publish(self, producer: Any, task: str, message: Any) -> None:
        """Publish; once more at once when the connection turns out to have died since it was last used."""
        began = time.monotonic()
        for again in (True, False):
            try:
                self._send(producer, task, message, queue=self.settings.queue, retry=False)
            except (OperationalError, RedisError, OSError) as error:
                connection = producer.connection
                connection.collect()
                stale = again and time.monotonic() - began < self._patience / 10
                if not stale or isinstance(error, AuthenticationError | OutOfMemoryError):
                    raise
                producer.revive(connection.default_channel)
            else:
                return

    def revoke(self, *task_ids: str) -> None:
        """Tell every worker not to begin with these requests.

        Raises:
            BrokerUnreachable: Redis did not take it.
        """
        self._check_open()
        with self._translated(), self._connection() as connection:
            self._mailbox(connection).abcast("revoke", {"task_id": list(task_ids), "terminate": False})

    def peek(self, task_id: str) -> Meta | None:
        """Return the meta of a task that is done, None while it is not.

        Raises:
            BrokerUnreachable: Redis did not answer.
            NerqError: what it answered is no result.
        """
        self._check_open()
        with self._translated():
            payload: Any = self._store.get(key(task_id))
        return None if payload is None else read_meta(payload)

    def late(self, seconds: float | None) -> NerqError:
        """Return the error for a result that did not come within so many seconds."""
        if self.listener.trouble is not None:
            return self._unreachable(self.listener.trouble)
        return TimedOut(
            f"no result came within {seconds or 0:g} s; the text may still be worked on. "
            "Ask job.result() again, or see whether a worker runs"
        )

    def close(self) -> None:
        """Close all connections; whoever still waits gets a NerqError."""
        if self._closed:
            return
        self._closed = True
        self.listener.close()
        self._publishers.force_close_all()
        self._connections.force_close_all()
        self._store.close()
        self._store.connection_pool.disconnect()

    @property
    def _patience(self) -> float:
        return self.settings.connect_timeout

    def _check_open(self) -> None:
        if self._closed:
            raise NerqError("this client is closed; make a new one")

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._connections.acquire(block=True, timeout=self._patience) as connection:
            try:
                yield connection
            except (OperationalError, RedisError, OSError):
                connection.collect()
                raise

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the libraries' errors into ours, without a traceback of theirs on the way."""
        try:
            yield
        except OutOfMemoryError as error:
            raise QueueFull(f"Redis at {self.where} is at its memory limit: {error}") from None
        except TROUBLE as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> BrokerUnreachable:
        if isinstance(error, ResponseError):
            return BrokerUnreachable(
                f"Redis at {self.where} is there and refuses the request ({error}); look at its disk, role and rights"
            )
        return BrokerUnreachable(
            f"Redis at {self.where} does not answer ({error}); start it, or set NERQ_BROKER_URL to where it runs"
        )
