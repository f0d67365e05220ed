"""The asyncio stream: sends texts in chunks and yields documents in order, as soon as they arrive."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from hanner._requests import FLUSH_AFTER, Chunk, ChunkLimits, chunk_documents, stream_backoff
from hanner.aio.loop_bridge import LoopBridge
from hanner.aio.requests import AsyncRequestSender
from hanner.errors import HannerError, QueueFull, TimedOut
from hanner.jobs import ResultWaiter
from hanner.queue.routing import Destination
from hanner.results import Document
from hanner.selection import ALL, Selection

NOT_READY: Any = object()
"""Returned by a source that has no text yet."""
END: Any = object()
"""Returned by a source that is exhausted."""


class AsyncStream:
    """One pass over one source.

    Args:
        sender: Sends chunks.
        limits: Size of the chunks, and how much may be in flight.
        timeout: Seconds to wait for the next document; None is no limit.
        find_destination: Returns where chunks are sent.
        selection: Which entities are wanted.
    """

    def __init__(
        self,
        sender: AsyncRequestSender,
        limits: ChunkLimits,
        timeout: float | None,
        find_destination: Callable[[], Awaitable[Destination]],
        selection: Selection = ALL,
    ) -> None:
        self._selection = selection
        self._find_destination = find_destination
        self._destination: Destination
        self._sender = sender
        self._limits = limits
        self._timeout = timeout
        self._backoff = stream_backoff(timeout)
        self._chunk = Chunk()
        self._must_retry = False
        self._sent: deque[_SentChunk] = deque()

    async def run(self, texts: Iterable[str] | AsyncIterable[str]) -> AsyncIterator[Document]:
        """Yield one document per text, in order."""
        self._destination = await self._find_destination()
        source = _Source(texts)
        try:
            while not source.is_exhausted or self._chunk.results or self._sent:
                await self._step(source)
                while self._sent and self._sent[0].future.done():
                    for document in self._sent[0].documents():
                        yield document
                    self._sent.popleft()
                    self._backoff.reset()
        except (GeneratorExit, asyncio.CancelledError, TimedOut, QueueFull):
            self._sender.revoke(each.waiter for each in self._sent)
            raise
        finally:
            source.close()
            for each in self._sent:
                each.unsubscribe()

    async def _step(self, source: "_Source") -> None:
        """Do the next thing: take a text, send the chunk, or wait for the oldest result."""
        if self._must_retry or (source.is_exhausted and self._chunk.results):
            await self._send()
        elif source.is_exhausted or self._limits.is_full([*(each.chunk for each in self._sent), self._chunk]):
            await self._wait_for_oldest()
        else:
            await self._take_text(source)

    async def _take_text(self, source: "_Source") -> None:
        oldest = self._sent[0].future if self._sent else None
        timeout = FLUSH_AFTER if self._chunk.results else self._timeout if oldest else None
        text = await source.take(oldest, timeout)
        if text is END:
            return
        if text is not NOT_READY:
            self._chunk.add(text, self._limits.max_chars)
            if self._limits.is_complete(self._chunk):
                await self._send()
        elif oldest is None or not oldest.done():  # the timeout has passed
            if not self._chunk.results:
                raise self._timeout_error()
            await self._send()

    async def _send(self) -> None:
        """Send the chunk. After a transient error wait for the backoff's pause, or for a result; `_step` retries."""
        waiter: ResultWaiter[list[Document]] | None = None
        if self._chunk.texts:
            try:
                request = self._sender.blocking.chunk_request(self._chunk, self._destination, self._selection)
                waiter = await self._sender.send(request, is_awaited=True)
            except HannerError as error:
                if not self._sender.blocking.is_transient(error):
                    raise
                self._must_retry = True
                pause = self._backoff.next_pause(asyncio.get_running_loop().time())
                if pause is None:
                    raise
                await self._wait_for_result(pause)
                return
        self._sent.append(_SentChunk(self._chunk, waiter, self._sender.loop_bridge()))
        self._chunk, self._must_retry = Chunk(), False
        self._backoff.reset()

    async def _wait_for_result(self, seconds: float) -> None:
        if self._sent:
            await asyncio.wait([self._sent[0].future], timeout=seconds)
        else:
            await asyncio.sleep(seconds)

    async def _wait_for_oldest(self) -> None:
        done, _ = await asyncio.wait([self._sent[0].future], timeout=self._timeout)
        if not done:
            raise self._timeout_error()

    def _timeout_error(self) -> Exception:
        waiter = self._sent[0].waiter
        assert waiter is not None  # a chunk without a request is done at once
        return waiter.timeout_error(self._timeout)


class _SentChunk:
    """A chunk that was sent, and a future of the running loop that is done when its result has arrived."""

    def __init__(self, chunk: Chunk, waiter: ResultWaiter[list[Document]] | None, bridge: LoopBridge) -> None:
        self.chunk = chunk
        self.waiter = waiter
        self.future: asyncio.Future[Any]
        if waiter is None:  # it had no valid text to send
            self.future = bridge.loop.create_future()
            self.future.set_result(None)
        else:
            self._thread_future = waiter.take_future()
            self.future = bridge.wrap_future(self._thread_future)

    def documents(self) -> list[Document]:
        """Return the documents of a chunk whose result has arrived."""
        if self.waiter is not None:
            self.waiter.set_meta(self.future.result())
            self.waiter.release_future(self._thread_future)
        return chunk_documents(self.chunk, self.waiter)

    def unsubscribe(self) -> None:
        """Stop waiting for the result."""
        if not self.future.cancel() and not self.future.cancelled():
            self.future.exception()  # retrieved, so that asyncio does not warn about it
        if self.waiter is not None:
            self.waiter.release_future(self._thread_future)


class _Source:
    """A plain or an async iterable that is consumed one text at a time."""

    def __init__(self, texts: Iterable[str] | AsyncIterable[str]) -> None:
        self.is_exhausted = False
        self._next: asyncio.Future[Any] | None = None
        self._async_iterator = aiter(texts) if isinstance(texts, AsyncIterable) else None
        self._iterator = None if isinstance(texts, AsyncIterable) else iter(texts)

    async def take(self, other: "asyncio.Future[Any] | None", timeout: float | None) -> Any:  # noqa: ASYNC109
        """Return a text, END, or NOT_READY if `other` is done or the timeout has passed first."""
        if self._iterator is not None:
            text: Any = next(self._iterator, END)
        else:
            if self._next is None:
                self._next = asyncio.ensure_future(anext(self._async_iterator, END))  # type: ignore[arg-type]
            await asyncio.wait(
                [self._next, other] if other else [self._next],
                timeout=timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not self._next.done():
                return NOT_READY
            text, self._next = self._next.result(), None
        self.is_exhausted = text is END
        return text

    def close(self) -> None:
        """Cancel the request for the next text."""
        if self._next is not None:
            self._next.cancel()
