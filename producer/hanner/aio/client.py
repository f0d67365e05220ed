"""The asyncio client: the methods of `Client`, awaited. Cancelling an await stops waiting at once."""
# ruff: noqa: ASYNC109 - timeouts are arguments, as in the blocking client: None and "not given" differ

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable
from functools import partial
from typing import Any, Final, Generic, Literal, NoReturn, Self, TypeVar, overload
from uuid import UUID

from hanner._requests import WINDOW, Request, RequestSender, check_source
from hanner.aio.requests import AsyncRequestSender
from hanner.aio.stream import AsyncStream
from hanner.errors import BrokerUnreachable
from hanner.jobs import DEFAULT, ResultWaiter, Timeout, timeout_seconds
from hanner.queue.routing import Priority, PriorityName
from hanner.queue.stats import Backlog
from hanner.results import Document, EntityList
from hanner.selection import Selection
from hanner.settings import Settings

T = TypeVar("T")


class AsyncJob(Generic[T]):
    """A request in the queue, or already answered.

    Attributes:
        id: Celery's task id; `AsyncClient.job(id)` returns the job again, from any process.
    """

    def __init__(self, sender: AsyncRequestSender, waiter: ResultWaiter[T]) -> None:
        self.id: Final = waiter.id
        self._sender = sender
        self._waiter = waiter

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AsyncJob cannot be pickled; pass its id, and call AsyncClient.job(id) in the other process")

    async def result(self, timeout: Timeout = DEFAULT) -> T:
        """Wait for the result and return it; see `Job.result`. Cancelling this does not revoke the request."""
        return await self._sender.wait(self._waiter, timeout)

    async def done(self) -> bool:
        """Return whether the request is done, successfully or not; see `Job.done`."""
        return await self._sender.run_in_thread(self._waiter.done)

    async def revoke(self) -> None:
        """Revoke the request, so that no worker starts it; see `Job.revoke`."""
        await self._sender.run_in_thread(self._waiter.revoke)


class AsyncClient:
    """Finds people, places and organisations in Chinese texts, through a queue, without blocking the event loop.

    Use it with `async with`, or await `close`. Arguments and errors are those of `Client`.
    """

    def __init__(self, broker_url: str | None = None, *, settings: Settings | None = None, **overrides: Any) -> None:
        self._sender: Final = AsyncRequestSender(RequestSender(broker_url, settings, overrides))

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), settings=self.settings), ()  # the copy opens its own connections

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._sender.blocking.settings

    async def extract(
        self,
        text: str,
        timeout: Timeout = DEFAULT,
        *,
        priority: PriorityName = "interactive",
        model: str | None = None,
        types: Collection[str] | None = None,
        min_score: float = 0.0,
    ) -> EntityList:
        """Return the entities of one text; see `Client.extract`. Cancelling this revokes the request."""
        return await self._sender.send_and_wait(
            await self._request(text, priority, model, Selection.make(types, min_score)), timeout
        )

    async def extract_many(
        self,
        texts: list[str] | tuple[str, ...],
        timeout: Timeout = DEFAULT,
        *,
        priority: PriorityName = "interactive",
        model: str | None = None,
        types: Collection[str] | None = None,
        min_score: float = 0.0,
    ) -> list[Document]:
        """Return one document per text, in order; see `Client.extract_many`. Cancelling this revokes it."""
        selection = Selection.make(types, min_score)
        chunk = self._sender.blocking.chunk(texts)
        if not chunk.texts:
            return chunk.merge([])
        destination = await self._sender.destination(priority, model)
        request = self._sender.blocking.chunk_request(chunk, destination, selection)
        documents = await self._sender.send_and_wait(request, timeout)
        return chunk.merge(documents)

    async def submit(
        self,
        text: str,
        *,
        expires: float | None = None,
        priority: PriorityName = "interactive",
        model: str | None = None,
        types: Collection[str] | None = None,
        min_score: float = 0.0,
    ) -> AsyncJob[EntityList]:
        """Send one text and return at once; see `Client.submit`."""
        return AsyncJob(
            self._sender,
            await self._sender.send(
                await self._request(text, priority, model, Selection.make(types, min_score)), expires
            ),
        )

    async def submit_many(
        self,
        texts: list[str] | tuple[str, ...],
        *,
        expires: float | None = None,
        priority: PriorityName = "bulk",
        model: str | None = None,
        types: Collection[str] | None = None,
        min_score: float = 0.0,
    ) -> AsyncJob[list[Document]]:
        """Send up to 256 texts in one request and return at once; see `Client.submit_many`."""
        selection = Selection.make(types, min_score)
        destination = await self._sender.destination(priority, model)
        request = self._sender.blocking.request_many(texts, destination, selection)
        return AsyncJob(self._sender, await self._sender.send(request, expires))

    @overload
    def job(self, task_id: str | UUID) -> AsyncJob[EntityList]: ...
    @overload
    def job(self, task_id: str | UUID, *, many: Literal[True]) -> AsyncJob[list[Document]]: ...
    def job(self, task_id: str | UUID, *, many: bool = False) -> AsyncJob[EntityList] | AsyncJob[list[Document]]:
        """Return the job of an earlier request; see `Client.job`."""
        return AsyncJob(self._sender, self._sender.blocking.waiter(task_id, many=many))

    def stream(
        self,
        texts: Iterable[str] | AsyncIterable[str],
        *,
        window: int = WINDOW,
        timeout: Timeout = DEFAULT,
        priority: PriorityName = "bulk",
        model: str | None = None,
        types: Collection[str] | None = None,
        min_score: float = 0.0,
    ) -> AsyncIterator[Document]:
        """Yield one document per text, in order, from a source of any length; see `Client.stream`.

        While the stream waits for an async source, it yields documents that arrive. A plain iterable should not block.
        """
        check_source(texts)
        blocking = self._sender.blocking
        limit = timeout_seconds(timeout, blocking.settings.timeout)
        find_destination = partial(self._sender.destination, Priority.parse(priority), model)
        limits, selection = blocking.chunk_limits(window), Selection.make(types, min_score)
        return AsyncStream(self._sender, limits, limit, find_destination, selection).run(texts)

    async def backlog(self, model: str | None = None) -> Backlog:
        """Return the state of the queue: waiting requests, and workers; see `Client.backlog`."""
        return await self._sender.run_in_thread(partial(self._sender.blocking.backlog, model))

    async def backlogs(self, model: str | None = None) -> dict[str, Backlog | BrokerUnreachable]:
        """Return the state of the queue by address in HANNER_BROKER_URL; see `Client.backlogs`."""
        return await self._sender.run_in_thread(partial(self._sender.blocking.backlogs, model))

    async def queue_of(self, model: str | None = None) -> str:
        """Return the queue that a model's requests are sent to; see `Client.queue_of`."""
        return (await self._sender.destination("interactive", model)).queue

    async def close(self) -> None:
        """Close the connections. Calls that wait for results fail; requests that were sent are still processed."""
        await asyncio.to_thread(self._sender.close)

    async def _request(self, text: str, priority: str, model: str | None, selection: Selection) -> Request[EntityList]:
        return self._sender.blocking.request(text, await self._sender.destination(priority, model), selection)
