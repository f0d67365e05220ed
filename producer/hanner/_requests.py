"""Requests: validate texts, cut them into chunks, and send them. Shared by the blocking and the asyncio client.

`Chunk` and `ChunkLimits` are pure; `RequestSender` uses the network through its Brokers.
"""

import contextlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from hanner.contract import EXTRACT, EXTRACT_MANY, MAX_TEXTS, ErrorCode, size_error, text_error, texts_error
from hanner.errors import BrokerUnreachable, HannerError, InvalidSettings, InvalidText
from hanner.jobs import AnyAddressWaiter, ResultWaiter, Timeout, check_seconds, timeout_seconds
from hanner.queue.keys import QUEUES
from hanner.queue.routing import Destination, Priority, parse_routes, queue_of, unknown_model_error
from hanner.queue.stats import Backlog, merge_backlogs, read_backlog
from hanner.results import Document, EntityList, error_document
from hanner.selection import ALL, Selection
from hanner.settings import Settings
from hanner.transport.brokers import Brokers, combine
from hanner.transport.connection import BrokerConnection
from hanner.transport.message import Message
from hanner.transport.result_parser import Meta, parse_documents, parse_entities
from hanner.utils.backoff import Backoff
from hanner.utils.ids import new_task_id

T = TypeVar("T")


class NotSentError(Exception):
    """A request could not be sent.

    Attributes:
        error: What the caller of the client gets, unless another address accepts the request.
        task_id: Id of the request, which Redis may have although the connection broke.
    """

    def __init__(self, error: HannerError, task_id: str | None = None) -> None:
        super().__init__()
        self.error = error
        self.task_id = task_id


EXPIRY_MARGIN: Final = 60.0
"""Seconds by which a request outlives its only caller's timeout: the clocks of client and worker may differ."""
WINDOW: Final = 1024
"""Default for the texts of a stream that are taken from the source and not yielded yet."""
WINDOW_CHARACTERS: Final = 4_000_000
"""Maximum code points of a stream in flight, which bounds memory when texts are long."""
CHUNK_TEXTS: Final = 64
CHUNK_CHARACTERS: Final = 32_768
"""Size of one chunk: large enough to make sending cheap, small enough to keep all workers busy."""
FLUSH_AFTER: Final = 0.05
"""Seconds that a stream waits for its source before it sends an incomplete chunk."""
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds between a stream's attempts to send while the queue is full or Redis is unreachable."""


@dataclass
class Chunk:
    """Texts that are sent in one request, with the errors of invalid ones.

    Attributes:
        texts: The valid texts, to be sent.
        results: One per text added, in order: None for a valid text, else its error.
        characters: Code points of `texts` together.
    """

    texts: list[str] = field(default_factory=list)
    results: list[Document | None] = field(default_factory=list)
    characters: int = 0

    def add(self, text: Any, max_chars: int) -> None:
        """Add a text; an invalid one is not sent, and its result is the error."""
        error = text_error(text, max_chars)
        if error is None:
            self.texts.append(text)
            self.characters += len(text)
        self.results.append(None if error is None else error_document(ErrorCode.INVALID_TEXT, error))

    def merge(self, documents: Iterable[Document]) -> list[Document]:
        """Return one document per text added, in order; `documents` has one per text sent."""
        received = (document.with_text(text) for document, text in zip(documents, self.texts, strict=False))
        return [next(received) if result is None else result for result in self.results]

    def fail(self, error: HannerError) -> list[Document]:
        """Return the documents if the whole request failed with an error that has a code."""
        document = error_document(error.code or "", str(error))
        return self.merge([document] * len(self.texts))


@dataclass(frozen=True)
class ChunkLimits:
    """The size of a stream's chunks, and how much may be in flight."""

    window: int
    max_chars: int

    def __post_init__(self) -> None:
        if self.window < 1:
            raise InvalidSettings(f"window must be at least 1, not {self.window}")

    def is_complete(self, chunk: Chunk) -> bool:
        """Return whether to send a chunk: at least four fit the window, so that sending and waiting overlap."""
        max_texts = max(1, min(CHUNK_TEXTS, MAX_TEXTS, self.window // 4))
        return len(chunk.results) >= max_texts or chunk.characters >= CHUNK_CHARACTERS

    def is_full(self, chunks: Iterable[Chunk]) -> bool:
        """Return whether a document must be yielded before the next text is taken."""
        texts = characters = 0
        for chunk in chunks:
            texts += len(chunk.results)
            characters += chunk.characters
        return texts >= self.window or characters >= WINDOW_CHARACTERS


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """A validated request.

    Attributes:
        task: A task name of the contract.
        argument: The text, or the texts.
        destination: Where it is sent.
        parse: Turns the task's meta into the result, or raises its error.
    """

    task: str
    argument: str | list[str]
    destination: Destination
    parse: Callable[[Meta], T]


class RequestSender:
    """Validates, routes and sends requests. Threads may share it.

    Args:
        broker_url: The broker's URL, or None.
        settings: All settings; read from HANNER_ variables when None.
        overrides: Single settings by name; they take precedence.

    Raises:
        InvalidSettings: a setting is invalid.
    """

    def __init__(self, broker_url: str | None, settings: Settings | None, overrides: dict[str, Any]) -> None:
        self.settings: Final = make_settings(broker_url, settings, overrides)
        self.brokers: Final = Brokers(self.settings)
        self._routes: Final = parse_routes(self.settings.routes)
        self._known_models: Final[set[str]] = set()

    @property
    def connection(self) -> BrokerConnection:
        """The connection of the only address, or of the first one."""
        return self.brokers.all[0].connection

    def destination(self, priority: str, model: str | None = None) -> Destination:
        """Return where to send a request. Queries Redis when a model is named for the first time.

        Raises:
            InvalidSettings: there is no such priority.
            UnknownModel: no worker has ever served the model, and HANNER_ROUTES does not name it.
            BrokerUnreachable: Redis did not answer.
        """
        parsed = Priority.parse(priority)
        if model is None:
            return Destination(self.settings.queue, parsed)
        queue = queue_of(model, self._routes)
        if not self.is_known(model):
            if self.brokers.read_any(lambda connection: _has_queue(connection, queue)) is None:
                raise unknown_model_error(model, queue, self._routes)
            self._known_models.add(model)
        return Destination(queue, parsed)

    def is_known(self, model: str | None) -> bool:
        """Return whether `destination` does not have to query Redis."""
        return not isinstance(model, str) or model in self._routes or model in self._known_models

    def request(self, text: str, destination: Destination, selection: Selection = ALL) -> Request[EntityList]:
        """Return a request with one text.

        Raises:
            InvalidText: the text is invalid.
        """
        if isinstance(text, list | tuple):
            raise InvalidText("a text must be a string, not a list; for several texts use extract_many() or stream()")
        error = text_error(text, self.settings.max_text_chars)
        if error is not None:
            raise InvalidText(error)
        return Request(EXTRACT, text, destination, lambda meta: selection.apply_to_list(parse_entities(meta), text))

    def request_many(self, texts: Any, destination: Destination, selection: Selection = ALL) -> Request[list[Document]]:
        """Return a request with several texts.

        Raises:
            InvalidText: one of them is invalid.
        """
        chunk = self.chunk(texts)
        for number, result in enumerate(chunk.results):
            if result is not None and result.error is not None:
                raise InvalidText(f"text {number}: {result.error.message}")
        return self.chunk_request(chunk, destination, selection)

    def chunk(self, texts: Any) -> Chunk:
        """Return a list of texts as one chunk; each invalid text gets its own error.

        Raises:
            InvalidText: `texts` is not a list, is empty, or has too many texts.
        """
        error = texts_error(texts)
        if error is not None:
            raise InvalidText(error)
        chunk = Chunk()
        for text in texts:
            chunk.add(text, self.settings.max_text_chars)
        return chunk

    def chunk_request(
        self, chunk: Chunk, destination: Destination, selection: Selection = ALL
    ) -> Request[list[Document]]:
        """Return a request with the valid texts of a chunk, which has at least one."""
        expected = len(chunk.texts)

        def parse(meta: Meta) -> list[Document]:
            return [selection.apply_to_document(document) for document in parse_documents(meta, expected)]

        return Request(EXTRACT_MANY, chunk.texts, destination, parse)

    def chunk_limits(self, window: int) -> ChunkLimits:
        """Return the limits of a stream with this window."""
        return ChunkLimits(window, self.settings.max_text_chars)

    def send(self, request: Request[T], expires: float | None = None, *, is_awaited: bool = False) -> ResultWaiter[T]:
        """Publish a request.

        Args:
            request: The request.
            expires: Seconds after which a worker discards it.
            is_awaited: The caller waits for the result, or calls `unsubscribe` of the waiter.

        Raises:
            InvalidText: its message is larger than `max_request_bytes`.
            BrokerUnreachable: Redis did not accept it within `connect_timeout` seconds.
            QueueFull: `max_queue` requests wait in its list, or Redis is at its memory limit.
        """
        if not self.brokers.are_several:
            return self._send(self.connection, request, expires, is_awaited=is_awaited)
        delivery = self.brokers.delivery(request.destination)
        while True:
            try:
                return self._send(delivery.next_connection(), request, expires, is_awaited=is_awaited, wrap=True)
            except NotSentError as failure:
                pause = delivery.on_failure(failure.error, failure.task_id)
            time.sleep(pause)

    def _send(
        self,
        connection: BrokerConnection,
        request: Request[T],
        expires: float | None,
        *,
        is_awaited: bool,
        wrap: bool = False,
    ) -> ResultWaiter[T]:
        """Publish a request at one address; with `wrap`, raise NotSentError if that fails."""
        task_id: str | None = None
        try:
            if expires is not None:
                self.sync_clock(connection, request.destination)
            waiter, message, raw = self._build(connection, request, expires, is_awaited=is_awaited)
            task_id = waiter.id
            try:
                with connection.translate_errors(request.destination):
                    connection.publisher(request.destination).publish(raw)
            except BaseException as error:
                waiter.unsubscribe()
                if isinstance(error, KeyboardInterrupt):
                    self.revoke_quietly([waiter])  # Redis may have it already
                raise
        except HannerError as error:
            if wrap:
                raise NotSentError(error, task_id) from error
            raise
        message.send_published_signal()
        return waiter

    def sync_clock(self, connection: BrokerConnection, destination: Destination) -> None:
        """Read the time of Redis, unless it is known: a request expires by that, because machines' clocks differ.

        Raises:
            BrokerUnreachable: Redis did not answer within `connect_timeout` seconds.
        """
        if not connection.clock.is_known():
            with connection.translate_errors(destination):
                connection.publisher(destination).sync_clock()

    def send_async(  # noqa: PLR0913 - as `send`, and how the result of sending is reported
        self,
        connection: BrokerConnection,
        request: Request[T],
        expires: float | None,
        callback: Callable[[HannerError | None], None],
        *,
        is_awaited: bool = False,
        soon: Callable[[Callable[[], None]], None] | None = None,
    ) -> tuple[ResultWaiter[T], Callable[[], bool]]:
        """Publish a request at one address, from a thread. Call `sync_clock` before if the request expires.

        Args:
            connection: The address.
            request: The request.
            expires: Seconds after which a worker discards it.
            callback: Called in the thread with None when Redis has the request, or with what `send` would raise.
            is_awaited: As in `send`; the caller also calls `unsubscribe` if the request is not sent.
            soon: As in `Publisher.publish_async`.

        Returns:
            The waiter for the result, and a function that cancels the request. The function returns False if it is too
            late: the request is being sent or was sent.

        Raises:
            InvalidText: its message is larger than `max_request_bytes`.
        """
        waiter, message, raw = self._build(connection, request, expires, is_awaited=is_awaited)

        def on_published(error: Exception | None) -> None:
            if error is None:
                message.send_published_signal()
            callback(None if error is None else connection.translate(error, request.destination))

        try:
            publisher = connection.publisher(request.destination)
            pending = publisher.publish_async(raw, on_published, soon)
        except BaseException:
            waiter.unsubscribe()
            raise
        return waiter, lambda: publisher.cancel(pending)

    def _build(
        self, connection: BrokerConnection, request: Request[T], expires: float | None, *, is_awaited: bool
    ) -> tuple[ResultWaiter[T], Message, bytes]:
        """Return the waiter for a request's result, its message, and the encoded message.

        Raises:
            InvalidText: the message is too large.
        """
        check_seconds("expires", expires)
        task_id = new_task_id() + connection.id_suffix
        message = connection.messages.build(
            task_id,
            request.task,
            request.argument,
            queue=request.destination.list,
            now=connection.clock.now(),
            expires=expires,
            replies=connection.listener.replies if is_awaited else None,
        )
        raw = message.encode()
        if len(raw) > self.settings.message_bytes:
            raise InvalidText(size_error(len(raw), self.settings.message_bytes))
        waiter = ResultWaiter(connection, task_id, request.parse)
        if is_awaited:
            waiter.expect_reply()
        return waiter, message, raw

    def waiter(self, task_id: str | UUID, *, many: bool) -> ResultWaiter[Any]:
        """Return a waiter for the result of a request sent earlier.

        Raises:
            InvalidSettings: the id is not a string that can be an id.
        """
        if isinstance(task_id, UUID):
            task_id = str(task_id)
        if not isinstance(task_id, str) or not task_id:
            raise InvalidSettings(f"the id of a job must be a string, not {task_id!r}; pass what Job.id returned")
        parse: Callable[[Meta], Any] = parse_documents if many else parse_entities
        connection = self.brokers.of_task(task_id)
        if connection is None:
            return AnyAddressWaiter(self.brokers.connections, task_id, parse)
        return ResultWaiter(connection, task_id, parse, sent_now=False)

    def revoke_quietly(self, waiters: Iterable[ResultWaiter[Any] | None]) -> None:
        """Revoke requests whose results are no longer needed. It only saves work, so errors are ignored."""
        ids: dict[BrokerConnection, list[str]] = {}
        for waiter in waiters:
            if waiter is not None and not waiter.has_arrived():
                ids.setdefault(waiter.connection, []).append(waiter.id)
        for connection, task_ids in ids.items():
            with contextlib.suppress(HannerError):
                connection.revoke(*task_ids)

    def backlog(self, model: str | None = None) -> Backlog:
        """Return the state of the queue, or of a model's queue, at all addresses that answer together.

        Raises:
            UnknownModel: no worker has ever served the model, and HANNER_ROUTES does not name it.
            BrokerUnreachable: Redis did not answer.
        """
        queue = self.destination(Priority.INTERACTIVE, model).queue
        if not self.brokers.are_several:
            return _read_backlog(self.connection, queue)
        found = self._read_backlogs(queue).values()
        backlogs = [each for each in found if isinstance(each, Backlog)]
        if not backlogs:
            raise combine([each for each in found if isinstance(each, BrokerUnreachable)])
        return merge_backlogs(backlogs)

    def backlogs(self, model: str | None = None) -> dict[str, Backlog | BrokerUnreachable]:
        """Return the state of the queue, or of a model's queue, by address; the error of each that does not answer.

        Raises:
            UnknownModel: no worker has ever served the model, and HANNER_ROUTES does not name it.
            BrokerUnreachable: the model's queue could not be looked up.
        """
        return self._read_backlogs(self.destination(Priority.INTERACTIVE, model).queue)

    def _read_backlogs(self, queue: str) -> dict[str, Backlog | BrokerUnreachable]:
        """Return the state of a queue by address. The addresses are read at the same time: one may not answer."""

        def read(connection: BrokerConnection) -> Backlog | BrokerUnreachable:
            try:
                return _read_backlog(connection, queue)
            except BrokerUnreachable as error:
                return error

        connections = self.brokers.connections
        if len(connections) == 1:
            return {self.connection.url: read(self.connection)}
        with ThreadPoolExecutor(len(connections), thread_name_prefix="hanner-backlog") as threads:
            return dict(
                zip([connection.url for connection in connections], threads.map(read, connections), strict=True)
            )

    def is_transient(self, error: HannerError) -> bool:
        """Return whether a failed request can be retried; see `Brokers.is_transient`."""
        return self.brokers.is_transient(error)

    def lifetime(self, timeout: Timeout) -> float | None:
        """Return the seconds after which a request is useless, if its only caller waits for `timeout`."""
        limit = timeout_seconds(timeout, self.settings.timeout)
        return None if limit is None else limit + EXPIRY_MARGIN


def _has_queue(connection: BrokerConnection, queue: str) -> bool | None:
    """Return True if a worker has ever served a queue at an address; None if not."""
    with connection.translate_errors():
        return bool(connection.redis.sismember(QUEUES, queue)) or None


def _read_backlog(connection: BrokerConnection, queue: str) -> Backlog:
    with connection.translate_errors():
        return read_backlog(connection.redis, queue)


def check_source(texts: Any) -> None:
    """Raise InvalidText if a stream's source is one text: each of its characters would become a text."""
    if isinstance(texts, str | bytes | bytearray):
        raise InvalidText(
            f"stream() takes an iterable of texts, not {type(texts).__name__}; for one text use extract()"
        )


def chunk_documents(chunk: Chunk, waiter: ResultWaiter[list[Document]] | None) -> list[Document]:
    """Return the documents of a chunk whose request is done; `waiter` is None if it had no valid text to send.

    Raises:
        HannerError: the result cannot be read; later results would not be readable either.
    """
    if waiter is None:
        return chunk.merge([])
    try:
        return chunk.merge(waiter.result())
    except HannerError as error:
        if error.code is None:
            raise
        return chunk.fail(error)


def stream_backoff(limit: float | None) -> Backoff:
    """Return the backoff of a stream that gives up after `limit` seconds without progress."""
    return Backoff(FIRST_PAUSE, LONGEST_PAUSE, limit=limit)


def make_settings(broker_url: str | None, settings: Settings | None, overrides: dict[str, Any]) -> Settings:
    """Return a client's settings: the given ones or the environment's, with overrides."""
    if broker_url is not None:
        overrides = {"broker_url": broker_url} | overrides
    if settings is None:
        return Settings.from_env(**overrides)
    return Settings.from_env({}, **(settings.model_dump() | overrides)) if overrides else settings
