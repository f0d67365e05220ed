"""The client for asyncio: the verbs of client.py, awaited. Cancelling an await stops the waiting at once."""
# ruff: noqa: ASYNC109 - timeouts are arguments, as in the blocking client: None and "not given" differ

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from functools import partial
from typing import Any, Final, Generic, Literal, Self, TypeVar, overload

from hanner._requests import Request, RequestSender
from hanner.aio.requests import AsyncRequestSender
from hanner.aio.stream import Stream
from hanner.chunks import WINDOW
from hanner.contract import Document, Entity
from hanner.jobs import DEFAULT, Job, Timeout, seconds
from hanner.queue.routing import Priority, PriorityName
from hanner.queue.stats import Backlog
from hanner.settings import Settings

T = TypeVar("T")


class AsyncJob(Generic[T]):
    """A request in the queue, or already answered.

    Attributes:
        id: Celery's task id; `AsyncClient.job(id)` finds the request again, from any process.
    """

    def __init__(self, outbox: AsyncRequestSender, job: Job[T]) -> None:
        self.id: Final = job.id
        self._outbox = outbox
        self._job = job

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    async def result(self, timeout: Timeout = DEFAULT) -> T:
        """Wait for the result and return it; see `Job.result`. Being cancelled does not revoke the request."""
        return await self._outbox.wait(self._job, timeout)

    async def done(self) -> bool:
        """Say whether the request is done, well or not; see `Job.done`."""
        return await self._outbox.in_thread(self._job.done)

    async def revoke(self) -> None:
        """Tell the workers not to begin with it; see `Job.revoke`."""
        await self._outbox.in_thread(self._job.revoke)


class AsyncClient:
    """Finds people, places and organisations in Chinese texts, by way of a queue, without blocking the event loop.

    Use it with `async with`, or await `close`. Arguments and errors are those of `Client`.
    """

    def __init__(self, broker_url: str | None = None, *, settings: Settings | None = None, **overrides: Any) -> None:
        self._outbox: Final = AsyncRequestSender(RequestSender(broker_url, settings, overrides))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._outbox.plain.settings

    async def extract(
        self, text: str, timeout: Timeout = DEFAULT, *, priority: PriorityName = "interactive", model: str | None = None
    ) -> list[Entity]:
        """Return the entities of one text; see `Client.extract`. Being cancelled revokes the request."""
        return await self._outbox.ask(await self._one(text, priority, model), timeout)

    async def extract_many(
        self,
        texts: list[str] | tuple[str, ...],
        timeout: Timeout = DEFAULT,
        *,
        priority: PriorityName = "interactive",
        model: str | None = None,
    ) -> list[Document]:
        """Return one document per text, in order; see `Client.extract_many`. Being cancelled revokes the request."""
        parcel = self._outbox.plain.pack(texts)
        if not parcel.texts:
            return parcel.fill([])
        request = self._outbox.plain.parcel(parcel, await self._outbox.where(priority, model))
        documents = await self._outbox.ask(request, timeout)
        return parcel.fill(documents)

    async def submit(
        self,
        text: str,
        *,
        expires: float | None = None,
        priority: PriorityName = "interactive",
        model: str | None = None,
    ) -> AsyncJob[list[Entity]]:
        """Send one text and return at once; see `Client.submit`."""
        return AsyncJob(self._outbox, await self._outbox.send(await self._one(text, priority, model), expires))

    async def submit_many(
        self,
        texts: list[str] | tuple[str, ...],
        *,
        expires: float | None = None,
        priority: PriorityName = "bulk",
        model: str | None = None,
    ) -> AsyncJob[list[Document]]:
        """Send up to 256 texts in one request and return at once; see `Client.submit_many`."""
        request = self._outbox.plain.many(texts, await self._outbox.where(priority, model))
        return AsyncJob(self._outbox, await self._outbox.send(request, expires))

    @overload
    def job(self, task_id: str) -> AsyncJob[list[Entity]]: ...
    @overload
    def job(self, task_id: str, *, many: Literal[True]) -> AsyncJob[list[Document]]: ...
    def job(self, task_id: str, *, many: bool = False) -> AsyncJob[list[Entity]] | AsyncJob[list[Document]]:
        """Return the job of a request sent earlier; see `Client.job`."""
        return AsyncJob(self._outbox, self._outbox.plain.job(task_id, many=many))

    def stream(
        self,
        texts: Iterable[str] | AsyncIterable[str],
        *,
        window: int = WINDOW,
        timeout: Timeout = DEFAULT,
        priority: PriorityName = "bulk",
        model: str | None = None,
    ) -> AsyncIterator[Document]:
        """Yield one document per text, in order, from a source of any length; see `Client.stream`.

        While an async source is waited for, answers are given out. A plain iterable should not block.
        """
        plain = self._outbox.plain
        limit = seconds(timeout, plain.link)
        where = partial(self._outbox.where, Priority.of(priority), model)
        return Stream(self._outbox, plain.bounds(window), limit, where).run(texts)

    async def backlog(self, model: str | None = None) -> Backlog:
        """Say what waits in the queue and which workers are there; see `Client.backlog`."""
        return await self._outbox.in_thread(partial(self._outbox.plain.link.backlog, model))

    async def queue_of(self, model: str | None = None) -> str:
        """Return the queue that a model's requests go to; see `Client.queue_of`."""
        return (await self._outbox.where("interactive", model)).queue

    async def close(self) -> None:
        """Close the connections. Jobs that are waited for fail; requests that were sent are still worked on."""
        await asyncio.to_thread(self._outbox.close)

    async def _one(self, text: str, priority: str, model: str | None) -> Request[list[Entity]]:
        return self._outbox.plain.one(text, await self._outbox.where(priority, model))
