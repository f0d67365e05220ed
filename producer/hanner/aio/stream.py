"""Streaming for asyncio: take texts, send parcels, give out documents in order, each as soon as it can be done."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from hanner._requests import answers
from hanner.aio.loop_bridge import LoopBridge
from hanner.aio.requests import AsyncRequestSender
from hanner.chunks import Chunk, ChunkLimits
from hanner.client import SLOW
from hanner.contract import Document
from hanner.errors import HannerError, QueueFull, TimedOut
from hanner.jobs import Job
from hanner.queue.routing import Destination
from hanner.utils.backoff import Backoff

NOTHING: Any = object()
"""What a source gives when something else is due first."""
END: Any = object()
"""What a source gives when it has no more."""


class Stream:
    """One pass over one source.

    Args:
        outbox: Sends parcels.
        bounds: How large a parcel gets, and how much may be in flight.
        limit: Seconds to wait for the next document; None waits for ever.
        where: Finds out where parcels go.
    """

    def __init__(
        self,
        outbox: AsyncRequestSender,
        bounds: ChunkLimits,
        limit: float | None,
        where: Callable[[], Awaitable[Destination]],
    ) -> None:
        self._find = where
        self._where: Destination
        self._outbox = outbox
        self._link = outbox.plain.link
        self._bounds = bounds
        self._limit = limit
        self._slowdown = Backoff(limit)
        self._gathered = Chunk()
        self._refused = False
        self._flights: deque[_Flight] = deque()

    async def run(self, texts: Iterable[str] | AsyncIterable[str]) -> AsyncIterator[Document]:
        """Yield one document per text, in order."""
        self._where = await self._find()
        source = _Source(texts)
        try:
            while not source.ended or self._gathered.slots or self._flights:
                await self._step(source)
                while self._flights and self._flights[0].arrival.done():
                    for document in self._flights[0].documents():
                        yield document
                    self._flights.popleft()
                    self._slowdown.progress()
        except (GeneratorExit, asyncio.CancelledError, TimedOut, QueueFull):
            self._outbox.revoke(flight.job for flight in self._flights)
            raise
        finally:
            source.close()
            for flight in self._flights:
                flight.abandon()

    async def _step(self, source: "_Source") -> None:
        """Do the one thing that is due: take a text, send what is gathered, or wait for the oldest answer."""
        if self._refused or (source.ended and self._gathered.slots):
            await self._launch()
        elif source.ended or self._bounds.full([*(flight.parcel for flight in self._flights), self._gathered]):
            await self._wait_for_head()
        else:
            await self._gather(source)

    async def _gather(self, source: "_Source") -> None:
        head = self._flights[0].arrival if self._flights else None
        patience = SLOW if self._gathered.slots else self._limit if head else None
        text = await source.take(head, patience)
        if text is END:
            return
        if text is not NOTHING:
            self._gathered.add(text, self._bounds.max_chars)
            if self._bounds.complete(self._gathered):
                await self._launch()
        elif head is None or not head.done():  # out of patience
            if not self._gathered.slots:
                raise self._late()
            await self._launch()

    async def _launch(self) -> None:
        """Send what is gathered. While it is refused, it is due again after a pause, or when an answer has come."""
        job: Job[list[Document]] | None = None
        if self._gathered.texts:
            try:
                job = await self._outbox.send(self._outbox.plain.parcel(self._gathered, self._where))
            except HannerError as error:
                if not self._link.passing(error):
                    raise
                self._refused = True
                pause = self._slowdown.pause(error, asyncio.get_running_loop().time())
                await (asyncio.wait([self._flights[0].arrival], timeout=pause) if self._flights else _nap(pause))
                return
        self._flights.append(_Flight(self._gathered, job, self._outbox.inbox()))
        self._gathered, self._refused = Chunk(), False
        self._slowdown.progress()

    async def _wait_for_head(self) -> None:
        done, _ = await asyncio.wait([self._flights[0].arrival], timeout=self._limit)
        if not done:
            raise self._late()

    def _late(self) -> Exception:
        return self._link.late(self._limit)


async def _nap(seconds: float) -> None:
    await asyncio.sleep(seconds)


class _Flight:
    """A parcel on its way; its arrival is a future of the running loop's."""

    def __init__(self, parcel: Chunk, job: Job[list[Document]] | None, inbox: LoopBridge) -> None:
        self.parcel = parcel
        self.job = job
        self.arrival: asyncio.Future[Any]
        if job is None:  # no text of it was worth sending
            self.arrival = inbox.loop.create_future()
            self.arrival.set_result(None)
        else:
            self._future = job.take()
            self.arrival = inbox.wrap(self._future)

    def documents(self) -> list[Document]:
        """Return the documents of a parcel that has arrived."""
        if self.job is not None:
            self.job.learn(self.arrival.result())
            self.job.release(self._future)
        return answers(self.parcel, self.job)

    def abandon(self) -> None:
        """Wait no more."""
        if not self.arrival.cancel() and not self.arrival.cancelled():
            self.arrival.exception()  # seen, so that asyncio does not complain of it
        if self.job is not None:
            self.job.release(self._future)


class _Source:
    """A plain or an async iterable, asked for one text at a time."""

    def __init__(self, texts: Iterable[str] | AsyncIterable[str]) -> None:
        self.ended = False
        self._asked: asyncio.Future[Any] | None = None
        self._async = aiter(texts) if isinstance(texts, AsyncIterable) else None
        self._plain = None if isinstance(texts, AsyncIterable) else iter(texts)

    async def take(self, other: "asyncio.Future[Any] | None", seconds: float | None) -> Any:
        """Return a text, or END, or NOTHING when `other` is done or the time is over before."""
        if self._plain is not None:
            text: Any = next(self._plain, END)
        else:
            if self._asked is None:
                self._asked = asyncio.ensure_future(anext(self._async, END))  # type: ignore[arg-type]
            await asyncio.wait(
                [self._asked, other] if other else [self._asked],
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not self._asked.done():
                return NOTHING
            text, self._asked = self._asked.result(), None
        self.ended = text is END
        return text

    def close(self) -> None:
        """Ask no more."""
        if self._asked is not None:
            self._asked.cancel()
