"""The client for asyncio: the verbs of client.py, awaited. Cancelling an await stops the waiting at once."""

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Generic, Literal, Self, TypeVar, overload

from nerq.client import Client, Flight, resolve
from nerq.contract import Document, Entity
from nerq.errors import NerqError, TimedOut
from nerq.jobs import DEFAULT, Job, Timeout
from nerq.parcels import WINDOW, Bounds, Parcel
from nerq.settings import Settings

T = TypeVar("T")
R = TypeVar("R")
THREADS = 8
"""Threads that publish, which Celery can only do blockingly; waiting for results takes none."""
END: Final = object()
"""What a source yields when it has no more."""


class AsyncJob(Generic[T]):
    """A request in the queue, or already answered; awaited from any event loop.

    Attributes:
        id: Celery's task id; `AsyncClient.job(id)` finds the request again, from any process.
    """

    def __init__(self, client: "AsyncClient", job: Job[T]) -> None:
        self.id: Final = job.id
        self._client = client
        self._job = job

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    async def result(self, timeout: Timeout = DEFAULT) -> T:  # noqa: ASYNC109 - the same verb as the blocking client's
        """Wait for the result and return it; see `Job.result`. Being cancelled does not revoke the request."""
        await self._client._landed(self._job, timeout)  # noqa: SLF001 - one module, two faces
        return self._job.result()

    async def done(self) -> bool:
        """Say whether the request is done, well or not; see `Job.done`."""
        return await self._client._in_thread(self._job.done)  # noqa: SLF001

    async def revoke(self) -> None:
        """Tell the workers not to begin with it; see `Job.revoke`."""
        await self._client._in_thread(self._job.revoke)  # noqa: SLF001


class AsyncClient:
    """Finds people, places and organisations in Chinese texts, by way of a queue, without blocking the event loop.

    Use it with `async with`, or await `close`. Arguments and errors are those of `Client`.
    """

    def __init__(self, broker_url: str | None = None, *, settings: Settings | None = None, **overrides: Any) -> None:
        self._client: Final = Client(settings=resolve(broker_url, settings, overrides))
        self._threads: Final = ThreadPoolExecutor(THREADS, thread_name_prefix="nerq-publish")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._client.settings

    async def extract(self, text: str, timeout: Timeout = DEFAULT) -> list[Entity]:  # noqa: ASYNC109
        """Return the entities of one text; see `Client.extract`. Being cancelled revokes the request."""
        lifetime = self._client.lifetime(timeout)
        return await self._awaited(functools.partial(self._client.submit, text, expires=lifetime), timeout)

    async def extract_many(
        self,
        texts: list[str] | tuple[str, ...],
        timeout: Timeout = DEFAULT,  # noqa: ASYNC109
    ) -> list[Document]:
        """Return one document per text, in order; see `Client.extract_many`. Being cancelled revokes the request."""
        parcel = self._client.pack(texts)
        if not parcel.texts:
            return parcel.fill([])
        lifetime = self._client.lifetime(timeout)
        submit = functools.partial(self._client.submit_many, parcel.texts, expires=lifetime)
        return parcel.fill(await self._awaited(submit, timeout))

    async def submit(self, text: str, *, expires: float | None = None) -> AsyncJob[list[Entity]]:
        """Send one text and return at once; see `Client.submit`."""
        return AsyncJob(self, await self._in_thread(functools.partial(self._client.submit, text, expires=expires)))

    async def submit_many(
        self, texts: list[str] | tuple[str, ...], *, expires: float | None = None
    ) -> AsyncJob[list[Document]]:
        """Send up to 256 texts in one request and return at once; see `Client.submit_many`."""
        submit = functools.partial(self._client.submit_many, texts, expires=expires)
        return AsyncJob(self, await self._in_thread(submit))

    @overload
    def job(self, task_id: str) -> AsyncJob[list[Entity]]: ...
    @overload
    def job(self, task_id: str, *, many: Literal[True]) -> AsyncJob[list[Document]]: ...
    def job(self, task_id: str, *, many: bool = False) -> AsyncJob[list[Entity]] | AsyncJob[list[Document]]:
        """Return the job of a request sent earlier; see `Client.job`."""
        if many:
            return AsyncJob(self, self._client.job(task_id, many=True))
        return AsyncJob(self, self._client.job(task_id))

    async def stream(
        self,
        texts: Iterable[str] | AsyncIterable[str],
        *,
        window: int = WINDOW,
        timeout: Timeout = DEFAULT,  # noqa: ASYNC109
    ) -> AsyncIterator[Document]:
        """Yield one document per text, in order, from a source of any length; see `Client.stream`.

        An async source is waited for and answers are given out at the same time; a plain iterable must not block.
        """
        bounds = Bounds(window, self.settings.max_text_chars)
        flights: deque[Flight] = deque()
        try:
            async for parcel in _parcels(texts, bounds, flights):
                if parcel.slots:
                    flights.append(await self._in_thread(functools.partial(self._client.launch, parcel)))
                while flights and (flights[0].landed() or bounds.full(flight.parcel for flight in flights)):
                    for document in await self._documents(flights[0], timeout):
                        yield document
                    flights.popleft()
            while flights:
                for document in await self._documents(flights[0], timeout):
                    yield document
                flights.popleft()
        except (GeneratorExit, asyncio.CancelledError, TimedOut):
            self._later(functools.partial(self._client.revoke_flights, list(flights)))
            raise
        finally:
            for flight in flights:
                flight.abandon()

    async def close(self) -> None:
        """Close the connections. Jobs that are waited for fail; requests that were sent are still worked on."""
        await asyncio.to_thread(self._client.close)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _documents(self, flight: Flight, timeout: Timeout) -> list[Document]:  # noqa: ASYNC109
        if flight.job is not None:
            await self._landed(flight.job, timeout)
        return flight.documents(timeout)

    async def _awaited(self, submit: Callable[[], Job[R]], timeout: Timeout) -> R:  # noqa: ASYNC109
        """Send and wait; when the caller is cancelled meanwhile, the request is revoked."""
        sending = asyncio.get_running_loop().run_in_executor(self._threads, submit)
        try:
            job = await asyncio.shield(sending)
            await self._landed(job, timeout)
        except asyncio.CancelledError:
            sending.add_done_callback(self._revoke_sent)
            raise
        return job.result()

    def _revoke_sent(self, sending: "asyncio.Future[Job[R]]") -> None:
        if not sending.cancelled() and sending.exception() is None:
            self._later(sending.result().revoke)

    async def _landed(self, job: Job[R], timeout: Timeout) -> None:  # noqa: ASYNC109
        """Wait until job.wait() would return at once."""
        if job.known():
            return
        future, limit = job.take(), self._client.seconds(timeout)
        try:
            job.learn(await asyncio.wait_for(asyncio.wrap_future(future), limit))
        except TimeoutError:
            raise self._client.late(limit) from None
        finally:
            job.put_back(future)

    async def _in_thread(self, call: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _later(self, call: Callable[[], object]) -> None:
        """Do it in a thread, without anybody waiting; it only saves work, so it may fail."""

        def quietly() -> None:
            with contextlib.suppress(NerqError):
                call()

        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self._threads.submit(quietly)
