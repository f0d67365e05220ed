"""The blocking client: send Chinese texts, get entities. `AsyncClient` has the same methods for asyncio."""

from collections.abc import Collection, Generator, Iterable
from functools import partial
from typing import Any, Final, Literal, Self, overload
from uuid import UUID

from hanner._requests import WINDOW, RequestSender, check_source
from hanner.errors import BrokerUnreachable
from hanner.jobs import DEFAULT, Job, Timeout
from hanner.queue.routing import PriorityName
from hanner.queue.stats import Backlog
from hanner.results import Document, EntityList
from hanner.selection import Selection
from hanner.settings import Settings
from hanner.stream import Stream


class Client:
    """Finds people, places and organisations in Chinese texts, through a queue.

    Threads may share a client, and a client made before a fork works in the child. A pickled client has its settings,
    with the password of Redis, and opens its own connections. It opens no connection before the first call. Use it as a
    context manager, or call `close`.

    Args:
        broker_url: URL of Redis, or several, separated by commas; when None, HANNER_BROKER_URL, else that of the
            `hanner up` that runs on this machine, else redis://localhost:6379/0.
        settings: All settings; read from HANNER_ variables when None.
        **overrides: Single settings by name, such as `timeout=5`; they take precedence.

    Raises:
        InvalidSettings: a setting is invalid; the message names it.
    """

    def __init__(self, broker_url: str | None = None, *, settings: Settings | None = None, **overrides: Any) -> None:
        self._sender: Final = RequestSender(broker_url, settings, overrides)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), settings=self.settings), ()  # the copy opens its own connections

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._sender.settings

    def extract(
        self,
        text: str,
        timeout: Timeout = DEFAULT,
        *,
        priority: PriorityName = "interactive",
        model: str | None = None,
        types: Collection[str] | None = None,
        min_score: float = 0.0,
    ) -> EntityList:
        """Return the entities of one text, sorted, never overlapping.

        Args:
            text: The text; start and end of each entity count its code points.
            timeout: Seconds to wait; None waits without limit; `Settings.timeout` when not given. The request expires
                a minute after that.
            priority: "interactive" requests are taken before "bulk" requests of any age.
            model: Name of the model. HANNER_ROUTES gives its queue; the default is `hanner.MODEL`. None uses
                HANNER_QUEUE.
            types: Types of the entities to return, such as `["PER", "LOC"]`; None returns all.
            min_score: Minimum score of the entities to return, from 0 to 1.

        Raises:
            InvalidText: the text is invalid, by the limits of this client or of the worker.
            UnknownModel: no worker has ever served this model; nothing was sent.
            HannerError: the request failed; the subclass names the reason.
        """
        request = self._sender.request(
            text, self._sender.destination(priority, model), Selection.make(types, min_score)
        )
        return self._sender.send(request, self._sender.lifetime(timeout), is_awaited=True).result(timeout)

    def extract_many(
        self,
        texts: list[str] | tuple[str, ...],
        timeout: Timeout = DEFAULT,
        *,
        priority: PriorityName = "interactive",
        model: str | None = None,
        types: Collection[str] | None = None,
        min_score: float = 0.0,
    ) -> list[Document]:
        """Return one document per text, in order, with one request of at most 256 texts.

        An invalid text fails alone: its document has an `error`.

        Args:
            texts: The texts.
            timeout: Seconds to wait; None waits without limit; `Settings.timeout` when not given. The request expires
                a minute after that.
            priority: "interactive" requests are taken before "bulk" requests of any age.
            model: Name of the model. HANNER_ROUTES gives its queue; the default is `hanner.MODEL`. None uses
                HANNER_QUEUE.
            types: Types of the entities to return, such as `["PER", "LOC"]`; None returns all.
            min_score: Minimum score of the entities to return, from 0 to 1.

        Raises:
            InvalidText: `texts` is not a list, is empty, or has too many texts.
            HannerError: the request failed; the subclass names the reason.
        """
        selection = Selection.make(types, min_score)
        chunk = self._sender.chunk(texts)
        if not chunk.texts:
            return chunk.merge([])
        request = self._sender.chunk_request(chunk, self._sender.destination(priority, model), selection)
        waiter = self._sender.send(request, self._sender.lifetime(timeout), is_awaited=True)
        return chunk.merge(waiter.result(timeout))

    def submit(
        self,
        text: str,
        *,
        expires: float | None = None,
        priority: PriorityName = "interactive",
        model: str | None = None,
        types: Collection[str] | None = None,
        min_score: float = 0.0,
    ) -> Job[EntityList]:
        """Send one text and return at once.

        Args:
            text: The text.
            expires: Seconds after which workers discard the request; the job then raises Expired.
            priority: "interactive" requests are taken before "bulk" requests of any age.
            model: Name of the model. HANNER_ROUTES gives its queue; the default is `hanner.MODEL`. None uses
                HANNER_QUEUE.
            types: Types of the entities to return, such as `["PER", "LOC"]`; None returns all.
            min_score: Minimum score of the entities to return, from 0 to 1.

        Raises:
            InvalidText: the text is invalid; nothing was sent.
            UnknownModel: no worker has ever served this model; nothing was sent.
            QueueFull: the queue is full; its `seconds` estimates the time until it drains.
            BrokerUnreachable: Redis did not accept the request.
        """
        request = self._sender.request(
            text, self._sender.destination(priority, model), Selection.make(types, min_score)
        )
        return Job(self._sender.send(request, expires))

    def submit_many(
        self,
        texts: list[str] | tuple[str, ...],
        *,
        expires: float | None = None,
        priority: PriorityName = "bulk",
        model: str | None = None,
        types: Collection[str] | None = None,
        min_score: float = 0.0,
    ) -> Job[list[Document]]:
        """Send up to 256 texts in one request and return at once.

        Args:
            texts: The texts; all of them must be valid.
            expires: Seconds after which workers discard the request; the job then raises Expired.
            priority: "interactive" requests are taken before "bulk" requests of any age.
            model: Name of the model. HANNER_ROUTES gives its queue; the default is `hanner.MODEL`. None uses
                HANNER_QUEUE.
            types: Types of the entities to return, such as `["PER", "LOC"]`; None returns all.
            min_score: Minimum score of the entities to return, from 0 to 1.

        Raises:
            InvalidText: one of the texts is invalid; nothing was sent.
            QueueFull: the queue is full; its `seconds` estimates the time until it drains.
            BrokerUnreachable: Redis did not accept the request.
        """
        request = self._sender.request_many(
            texts, self._sender.destination(priority, model), Selection.make(types, min_score)
        )
        return Job(self._sender.send(request, expires))

    @overload
    def job(self, task_id: str | UUID) -> Job[EntityList]: ...
    @overload
    def job(self, task_id: str | UUID, *, many: Literal[True]) -> Job[list[Document]]: ...
    def job(self, task_id: str | UUID, *, many: bool = False) -> Job[EntityList] | Job[list[Document]]:
        """Return the job of an earlier request, also of another process.

        Args:
            task_id: The `id` of the job.
            many: Whether it is a request of `submit_many`.

        Raises:
            InvalidSettings: the id is neither a string nor a UUID, or is empty.
        """
        return Job(self._sender.waiter(task_id, many=many))

    def stream(
        self,
        texts: Iterable[str],
        *,
        window: int = WINDOW,
        timeout: Timeout = DEFAULT,
        priority: PriorityName = "bulk",
        model: str | None = None,
        types: Collection[str] | None = None,
        min_score: float = 0.0,
    ) -> Generator[Document, None, None]:
        """Yield one document per text, in order, from a source of any length.

        Texts are sent in requests of up to 64. At most `window` texts have been taken from the source and not yielded
        yet, so memory and queue are bounded. When the consumer stops early, the remaining requests are revoked. An
        invalid text yields a document with an `error`.

        While the queue is full, or Redis is unreachable after it was reachable, the stream retries with backoff and
        yields documents that arrive. It raises only after `timeout` seconds without progress.

        Args:
            texts: Any iterable; it is consumed only while there is room in the window.
            window: Maximum number of texts in flight.
            timeout: Seconds to wait for the next document.
            priority: "interactive" requests are taken before "bulk" requests of any age.
            model: Name of the model. HANNER_ROUTES gives its queue; the default is `hanner.MODEL`. None uses
                HANNER_QUEUE.
            types: Types of the entities to yield, such as `["PER", "LOC"]`; None yields all.
            min_score: Minimum score of the entities to yield, from 0 to 1.

        Raises:
            InvalidSettings: the window is not positive, or there is no such priority.
            InvalidText: `texts` is one text.
            UnknownModel: no worker has ever served this model; nothing was sent.
            BrokerUnreachable: Redis does not answer.
            QueueFull: the queue was full for too long.
            TimedOut: no document arrived in time.
        """
        check_source(texts)
        limits = self._sender.chunk_limits(window)
        destination = self._sender.destination(priority, model)
        selection = Selection.make(types, min_score)
        return Stream(self._sender, limits, timeout, destination, selection).run(iter(texts))

    def backlog(self, model: str | None = None) -> Backlog:
        """Return the state of the queue, or of a model's queue: waiting requests, and workers.

        If HANNER_BROKER_URL has several addresses, it is the state of all that answer together.

        Args:
            model: Name of the model; None uses HANNER_QUEUE.

        Raises:
            UnknownModel: no worker has ever served this model.
            BrokerUnreachable: Redis did not answer.
        """
        return self._sender.backlog(model)

    def backlogs(self, model: str | None = None) -> dict[str, Backlog | BrokerUnreachable]:
        """Return the state of the queue, or of a model's queue, by address in HANNER_BROKER_URL, without passwords.

        An address that does not answer has the error instead.

        Args:
            model: Name of the model; None uses HANNER_QUEUE.

        Raises:
            UnknownModel: no worker has ever served this model.
            BrokerUnreachable: no address that answers knows the model, and another does not answer.
        """
        return self._sender.backlogs(model)

    def queue_of(self, model: str | None = None) -> str:
        """Return the queue that a model's requests are sent to.

        Args:
            model: Name of the model; None uses HANNER_QUEUE.

        Raises:
            UnknownModel: no worker has ever served this model, and HANNER_ROUTES does not name it.
            BrokerUnreachable: Redis did not answer.
        """
        return self._sender.destination("interactive", model).queue

    def close(self) -> None:
        """Close the connections. Calls that wait for results fail; requests that were sent are still processed."""
        self._sender.brokers.close()
