"""The client for asyncio: the verbs of client.py, awaited. Cancelling an await stops the waiting at once."""
# ruff: noqa: ASYNC109 - timeouts are arguments, as in the blocking client: None and "not given" differ

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Generic, Literal, Self, TypeVar, overload

from nerq.aiostream import Stream
from nerq.contract import Document, Entity
from nerq.errors import TimedOut
from nerq.jobs import DEFAULT, Job, Timeout, seconds
from nerq.outbox import Outbox
from nerq.parcels import WINDOW
from nerq.settings import Settings

T = TypeVar("T")
THREADS = 4
"""Threads that publish, which Celery can only do blockingly; waiting for results takes none."""


class AsyncJob(Generic[T]):
    """A request in the queue, or already answered.

    Attributes:
        id: Celery's task id; `AsyncClient.job(id)` finds the request again, from any process.
    """

    def __init__(self, client: "AsyncClient", job: Job[T]) -> None:
        self.id: Final = job.id
        self._client = client
        self._job = job

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    async def result(self, timeout: Timeout = DEFAULT) -> T:
        """Wait for the result and return it; see `Job.result`. Being cancelled does not revoke the request."""
        return await self._client.wait(self._job, timeout)

    async def done(self) -> bool:
        """Say whether the request is done, well or not; see `Job.done`."""
        return await self._client.in_thread(self._job.done)

    async def revoke(self) -> None:
        """Tell the workers not to begin with it; see `Job.revoke`."""
        await self._client.in_thread(self._job.revoke)


class AsyncClient:
    """Finds people, places and organisations in Chinese texts, by way of a queue, without blocking the event loop.

    Use it with `async with`, or await `close`. Arguments and errors are those of `Client`.
    """

    def __init__(self, broker_url: str | None = None, *, settings: Settings | None = None, **overrides: Any) -> None:
        self._outbox: Final = Outbox(broker_url, settings, overrides)
        self._threads: Final = ThreadPoolExecutor(THREADS, thread_name_prefix="nerq-publish")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._outbox.settings

    async def extract(
        self, text: str, timeout: Timeout = DEFAULT, *, headers: Mapping[str, str] | None = None
    ) -> list[Entity]:
        """Return the entities of one text; see `Client.extract`. Being cancelled, or out of time, revokes the request.

        `headers` are added to the message's, for a worker's log: see `Outbox.one`.
        """
        send = functools.partial(self._outbox.one, text, self._outbox.lifetime(timeout), headers)
        return await self._send_and_wait(send, timeout)

    async def extract_many(
        self,
        texts: list[str] | tuple[str, ...],
        timeout: Timeout = DEFAULT,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> list[Document]:
        """Return one document per text, in order; see `Client.extract_many`, and `extract` for the rest."""
        parcel = self._outbox.pack(texts)
        if not parcel.texts:
            return parcel.fill([])
        send = functools.partial(self._outbox.launch, parcel, self._outbox.lifetime(timeout), headers)
        documents: list[Document] = await self._send_and_wait(send, timeout)
        return parcel.fill(documents)

    async def submit(self, text: str, *, expires: float | None = None) -> AsyncJob[list[Entity]]:
        """Send one text and return at once; see `Client.submit`."""
        return AsyncJob(self, await self.in_thread(functools.partial(self._outbox.one, text, expires)))

    async def submit_many(
        self, texts: list[str] | tuple[str, ...], *, expires: float | None = None
    ) -> AsyncJob[list[Document]]:
        """Send up to 256 texts in one request and return at once; see `Client.submit_many`."""
        return AsyncJob(self, await self.in_thread(functools.partial(self._outbox.many, texts, expires)))

    @overload
    def job(self, task_id: str) -> AsyncJob[list[Entity]]: ...
    @overload
    def job(self, task_id: str, *, many: Literal[True]) -> AsyncJob[list[Document]]: ...
    def job(self, task_id: str, *, many: bool = False) -> AsyncJob[list[Entity]] | AsyncJob[list[Document]]:
        """Return the job of a request sent earlier; see `Client.job`."""
        return AsyncJob(self, self._outbox.job(task_id, many=many))

    def stream(
        self, texts: Iterable[str] | AsyncIterable[str], *, window: int = WINDOW, timeout: Timeout = DEFAULT
    ) -> AsyncIterator[Document]:
        """Yield one document per text, in order, from a source of any length; see `Client.stream`.

        While an async source is waited for, answers are given out. A plain iterable should not block.
        """
        limit = seconds(timeout, self._outbox.link)
        return Stream(self._outbox, self._outbox.bounds(window), self._threads, limit).run(texts)

    async def close(self) -> None:
        """Close the connections. Jobs that are waited for fail; requests that were sent are still worked on."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._outbox.link.listener.close()
        self._threads.shutdown()  # what is being sent or revoked comes to its end first
        self._outbox.link.close()

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run what blocks in one of this client's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def wait(self, job: Job[T], timeout: Timeout) -> T:
        """Wait for a blocking client's job."""
        if not job.known():
            future, limit = job.take(), seconds(timeout, self._outbox.link)
            try:
                job.learn(await asyncio.wait_for(asyncio.wrap_future(future), limit))
            except TimeoutError:
                raise job.late(limit) from None
            finally:
                job.release(future)
        return job.result()

    async def _send_and_wait(self, send: Callable[[], Job[T]], timeout: Timeout) -> T:
        sending = self._threads.submit(send)
        try:
            return await self.wait(await asyncio.shield(asyncio.wrap_future(sending)), timeout)
        except (asyncio.CancelledError, TimedOut):
            if not sending.cancel():  # begun: what it sends is to be revoked, and `close` waits for that
                with contextlib.suppress(RuntimeError):  # closed meanwhile
                    self._threads.submit(lambda: self._outbox.revoke_quietly([sending.result()]))
            raise
