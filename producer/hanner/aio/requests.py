"""Sending and waiting for an event loop: what AsyncClient and its streams share."""
# ruff: noqa: ASYNC109 - timeouts are arguments, as in the blocking client: None and "not given" differ

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from hanner._requests import Request, RequestSender
from hanner.aio.loop_bridge import LoopBridge, follow
from hanner.errors import HannerError
from hanner.jobs import Job, Timeout, seconds
from hanner.queue.routing import Destination
from hanner.transport.pending import PendingMessage

T = TypeVar("T")
THREADS = 4
"""Threads for what is rarely asked: revoke, done. Sending takes one thread, waiting for results another."""


class AsyncRequestSender:
    """Sends what has been checked, without blocking the event loop.

    Args:
        plain: What does the same for threads.
    """

    def __init__(self, plain: RequestSender) -> None:
        self.plain: Final = plain
        self._threads: Final = ThreadPoolExecutor(THREADS, thread_name_prefix="hanner-client")
        self._last_inbox: LoopBridge | None = None

    async def wait(self, job: Job[T], timeout: Timeout) -> T:
        """Wait for a blocking client's job."""
        if not job.known():
            future, limit = job.take(), seconds(timeout, self.plain.link)
            try:
                job.learn(await asyncio.wait_for(self.inbox().wrap(future), limit))
            except TimeoutError:
                raise job.late(limit) from None
            finally:
                job.release(future)
        return job.result()

    def inbox(self) -> LoopBridge:
        """Return the running loop's; a client may be used in one loop after the other."""
        loop = asyncio.get_running_loop()
        if self._last_inbox is None or self._last_inbox.loop is not loop:
            self._last_inbox = LoopBridge(loop)
        return self._last_inbox

    async def where(self, priority: str, model: str | None) -> Destination:
        """Return where a request goes; see `Link.destination`."""
        if self.plain.link.knows(model):
            return self.plain.where(priority, model)
        return await self.in_thread(partial(self.plain.where, priority, model))

    async def send(self, request: Request[T], expires: float | None = None) -> Job[T]:
        """Put a request into the queue; all that coroutines send at the same time travels together."""
        inbox = self.inbox()
        sent: asyncio.Future[None] = inbox.loop.create_future()
        job, ticket = self.plain.post(request, expires, lambda error: inbox.put(partial(_settle, sent, error)))
        try:
            await sent
        except asyncio.CancelledError:
            self._unsend(job, ticket)
            raise
        return job

    async def ask(self, request: Request[T], timeout: Timeout) -> T:
        """Send a request and wait for its answer, in one go: the loop is woken once for both."""
        inbox = self.inbox()
        answer: asyncio.Future[Any] = inbox.loop.create_future()

        def sent(error: HannerError | None) -> None:
            if error is not None:
                inbox.put(partial(_settle, answer, error))

        job, ticket = self.plain.post(request, self.plain.lifetime(timeout), sent)
        future, limit = job.take(), seconds(timeout, self.plain.link)
        future.add_done_callback(lambda done: inbox.put(partial(follow, answer, done)))
        try:
            job.learn(await asyncio.wait_for(answer, limit))
        except TimeoutError:
            self._unsend(job, ticket)  # its only caller has gone
            raise job.late(limit) from None
        except asyncio.CancelledError:
            self._unsend(job, ticket)
            raise
        finally:
            job.release(future)
        return job.result()

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run what blocks in a thread of ours."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def revoke(self, jobs: Iterable[Job[Any] | None]) -> None:
        """Tell the workers that nobody waits for these any more; nobody waits for that either, but `close`."""
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self._threads.submit(self.plain.revoke_quietly, list(jobs))

    def close(self) -> None:
        """Close the connections; blocks."""
        self.plain.link.listener.close()
        self._threads.shutdown()  # what is being revoked comes to its end first
        self.plain.link.close()

    def _unsend(self, job: Job[Any], ticket: PendingMessage) -> None:
        """Take a request back of which nobody will hear: from those that wait to be sent, else from the workers."""
        if not self.plain.link.withdraw(ticket):
            self.revoke([job])


def _settle(future: "asyncio.Future[Any]", error: HannerError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
