"""The blocking stream: sends texts in chunks and yields documents in order. Runs in the caller's thread."""

import time
from collections import deque
from collections.abc import Generator, Iterator

from hanner._requests import FLUSH_AFTER, Chunk, ChunkLimits, RequestSender, chunk_documents, stream_backoff
from hanner.errors import HannerError, QueueFull, TimedOut
from hanner.jobs import ResultWaiter, Timeout, timeout_seconds
from hanner.queue.routing import Destination
from hanner.results import Document
from hanner.selection import ALL, Selection


class Stream:
    """One pass over one source.

    Args:
        sender: Sends chunks.
        limits: Size of the chunks, and how much may be in flight.
        timeout: Seconds to wait for the next document.
        destination: Where chunks are sent.
        selection: Which entities are wanted.
    """

    def __init__(
        self,
        sender: RequestSender,
        limits: ChunkLimits,
        timeout: Timeout,
        destination: Destination,
        selection: Selection = ALL,
    ) -> None:
        self._selection = selection
        self._sender = sender
        self._limits = limits
        self._timeout = timeout
        self._destination = destination
        self._backoff = stream_backoff(timeout_seconds(timeout, sender.settings.timeout))
        self._sent: deque[_SentChunk] = deque()

    def run(self, source: Iterator[str]) -> Generator[Document, None, None]:
        """Yield one document per text, in order."""
        sent = self._sent
        try:
            chunk = Chunk()
            requested_at = time.monotonic()
            for text in source:
                is_slow = time.monotonic() - requested_at > FLUSH_AFTER
                chunk.add(text, self._limits.max_chars)
                if is_slow or self._limits.is_complete(chunk):
                    yield from self._send(chunk)
                    chunk = Chunk()
                while sent and (sent[0].is_ready() or self._limits.is_full([*(each.chunk for each in sent), chunk])):
                    yield from sent[0].documents(self._timeout)
                    sent.popleft()
                requested_at = time.monotonic()
            if chunk.results:
                yield from self._send(chunk)
            while sent:
                yield from sent[0].documents(self._timeout)
                sent.popleft()
        except (GeneratorExit, KeyboardInterrupt, TimedOut, QueueFull):
            self._sender.revoke_quietly(each.waiter for each in sent)
            raise
        finally:
            for each in sent:
                each.unsubscribe()

    def _send(self, chunk: Chunk) -> Iterator[Document]:
        """Send a chunk. Retry with backoff on transient errors, and meanwhile yield documents that arrive."""
        while True:
            try:
                waiter = self._send_request(chunk) if chunk.texts else None
                break
            except HannerError as error:
                if not self._sender.is_transient(error):
                    raise
                pause = self._backoff.next_pause(time.monotonic())
                if pause is None:
                    raise
            if not self._sent:
                time.sleep(pause)
            elif self._sent[0].wait(pause):
                yield from self._sent.popleft().documents(0)
                self._backoff.reset()
        self._backoff.reset()
        self._sent.append(_SentChunk(chunk, waiter))  # before anything else, for the case of an interruption

    def _send_request(self, chunk: Chunk) -> ResultWaiter[list[Document]]:
        request = self._sender.chunk_request(chunk, self._destination, self._selection)
        return self._sender.send(request, is_awaited=True)


class _SentChunk:
    """A chunk that was sent, and the waiter for its result: None if it had no valid text to send."""

    def __init__(self, chunk: Chunk, waiter: ResultWaiter[list[Document]] | None) -> None:
        self.chunk = chunk
        self.waiter = waiter

    def is_ready(self) -> bool:
        """Return True if `documents` would not block."""
        return self.waiter is None or self.waiter.has_arrived()

    def wait(self, seconds: float) -> bool:
        """Wait for the result, at most `seconds`; return True if `documents` would not block."""
        return self.waiter is None or self.waiter.wait_for_arrival(seconds)

    def documents(self, timeout: Timeout) -> list[Document]:
        """Wait for the result and return its documents.

        Raises:
            TimedOut: it did not arrive in time.
            BrokerUnreachable: Redis is unreachable.
        """
        if self.waiter is not None:
            self.waiter.wait(timeout)
        return chunk_documents(self.chunk, self.waiter)

    def unsubscribe(self) -> None:
        """Stop waiting for the result."""
        if self.waiter is not None:
            self.waiter.unsubscribe()
