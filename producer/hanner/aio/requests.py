"""Sends requests and waits for results in an event loop. Blocking calls run in a few threads of its own."""
# ruff: noqa: ASYNC109 - timeouts are arguments, as in the blocking client: None and "not given" differ

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from hanner._requests import NotSentError, Request, RequestSender
from hanner.aio.loop_bridge import LoopBridge, copy_future_state
from hanner.errors import HannerError
from hanner.jobs import ResultWaiter, Timeout, timeout_seconds
from hanner.queue.routing import Destination
from hanner.transport.connection import BrokerConnection

T = TypeVar("T")
R = TypeVar("R")
THREADS = 4
"""Threads for infrequent calls: revoke, done. Publishing has its own thread, and so does receiving results."""


class AsyncRequestSender:
    """Sends requests without blocking the event loop.

    Args:
        blocking: Does the same for threads.
    """

    def __init__(self, blocking: RequestSender) -> None:
        self.blocking: Final = blocking
        self._threads: Final = ThreadPoolExecutor(THREADS, thread_name_prefix="hanner-client")
        self._last_bridge: LoopBridge | None = None

    async def wait(self, waiter: ResultWaiter[T], timeout: Timeout) -> T:
        """Wait for a result and return it."""
        if not waiter.has_meta():
            future, limit = waiter.take_future(), self._limit(timeout)
            try:
                async with asyncio.timeout(limit):  # Python 3.11's wait_for may ignore a cancellation
                    waiter.set_meta(await self.loop_bridge().wrap_future(future))
            except TimeoutError:
                raise waiter.timeout_error(limit) from None
            finally:
                waiter.release_future(future)
        return waiter.result()

    def loop_bridge(self) -> LoopBridge:
        """Return the bridge of the running loop; a client may be used in several loops, one after another."""
        loop = asyncio.get_running_loop()
        if self._last_bridge is None or self._last_bridge.loop is not loop:
            self._last_bridge = LoopBridge(loop)
        return self._last_bridge

    async def destination(self, priority: str, model: str | None) -> Destination:
        """Return where to send a request; see `RequestSender.destination`."""
        if self.blocking.is_known(model):
            return self.blocking.destination(priority, model)
        return await self.run_in_thread(partial(self.blocking.destination, priority, model))

    async def send(
        self, request: Request[T], expires: float | None = None, *, is_awaited: bool = False
    ) -> ResultWaiter[T]:
        """Publish a request; see `RequestSender.send`. Requests sent at the same time are pushed together."""

        def send(connection: BrokerConnection) -> Coroutine[Any, Any, ResultWaiter[T]]:
            return self._send(connection, request, expires, is_awaited=is_awaited)

        return await self._deliver(request, send)

    async def _deliver(self, request: Request[Any], send: Callable[[BrokerConnection], Coroutine[Any, Any, R]]) -> R:
        """Call `send` with the connection of an address, and with others as long as it raises NotSentError."""
        brokers = self.blocking.brokers
        if not brokers.are_several:
            try:
                return await send(self.blocking.connection)
            except NotSentError as failure:
                raise failure.error from failure.error.__cause__
        delivery = brokers.delivery(request.destination)
        while True:
            try:
                return await send(delivery.next_connection())
            except NotSentError as failure:
                pause = delivery.on_failure(failure.error, failure.task_id)
            await asyncio.sleep(pause)

    async def _send(
        self, connection: BrokerConnection, request: Request[T], expires: float | None, *, is_awaited: bool
    ) -> ResultWaiter[T]:
        """Publish a request at one address; raise NotSentError if that fails."""
        await self._sync_clock(connection, request, expires)
        bridge = self.loop_bridge()
        published: asyncio.Future[None] = bridge.loop.create_future()
        waiter, cancel = self.blocking.send_async(
            connection,
            request,
            expires,
            lambda error: bridge.call_soon(partial(_set_result, published, error)),
            is_awaited=is_awaited,
            soon=bridge.call_once,
        )
        try:
            await published
        except BaseException as error:
            waiter.unsubscribe()
            if isinstance(error, asyncio.CancelledError):
                self._cancel_or_revoke(waiter, cancel)
            if isinstance(error, HannerError):
                raise NotSentError(error, waiter.id) from error
            raise
        return waiter

    async def send_and_wait(self, request: Request[T], timeout: Timeout) -> T:
        """Publish a request and wait for its result. The event loop wakes once instead of twice."""
        limit = self._limit(timeout)
        deadline = None if limit is None else asyncio.get_running_loop().time() + limit
        lifetime = self.blocking.lifetime(timeout)

        def send(connection: BrokerConnection) -> Coroutine[Any, Any, T]:
            return self._send_and_wait(connection, request, limit, deadline, lifetime)

        return await self._deliver(request, send)

    async def _send_and_wait(
        self,
        connection: BrokerConnection,
        request: Request[T],
        limit: float | None,
        deadline: float | None,
        lifetime: float | None,
    ) -> T:
        """Publish a request at one address and wait for its result; raise NotSentError if it cannot be published."""
        if limit is not None and not connection.clock.is_known():
            try:
                async with asyncio.timeout_at(deadline):
                    await self._sync_clock(connection, request, limit)
            except TimeoutError:
                raise connection.timeout_error(limit) from None
        bridge = self.loop_bridge()
        answer: asyncio.Future[Any] = bridge.loop.create_future()
        unsent: list[HannerError] = []

        def on_published(error: HannerError | None) -> None:
            if error is not None:
                unsent.append(error)
                bridge.call_soon(partial(_set_result, answer, error))

        waiter, cancel = self.blocking.send_async(
            connection, request, lifetime, on_published, is_awaited=True, soon=bridge.call_once
        )
        future = waiter.take_future()
        future.add_done_callback(lambda source: bridge.call_soon(partial(copy_future_state, source, answer)))
        try:
            async with asyncio.timeout_at(deadline):
                waiter.set_meta(await answer)
        except TimeoutError:
            self._cancel_or_revoke(waiter, cancel)
            raise waiter.timeout_error(limit) from None
        except asyncio.CancelledError:
            self._cancel_or_revoke(waiter, cancel)
            raise
        except HannerError as error:
            if error in unsent:
                raise NotSentError(error, waiter.id) from error
            raise
        finally:
            waiter.release_future(future)
        return waiter.result()

    async def _sync_clock(self, connection: BrokerConnection, request: Request[Any], expires: float | None) -> None:
        if expires is not None and not connection.clock.is_known():
            try:
                await self.run_in_thread(partial(self.blocking.sync_clock, connection, request.destination))
            except HannerError as error:
                raise NotSentError(error) from error

    async def run_in_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def revoke(self, waiters: Iterable[ResultWaiter[Any] | None]) -> None:
        """Revoke requests in a thread, whose results are no longer needed; only `close` waits for that."""
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self._threads.submit(self.blocking.revoke_quietly, list(waiters))

    def close(self) -> None:
        """Close the connections. Blocks."""
        for connection in self.blocking.brokers.connections:
            connection.listener.close()
        self._threads.shutdown()  # pending revocations are sent first
        self.blocking.brokers.close()

    def _cancel_or_revoke(self, waiter: ResultWaiter[Any], cancel: Callable[[], bool]) -> None:
        """Cancel a request that is not sent yet; revoke it otherwise."""
        if not cancel():
            self.revoke([waiter])

    def _limit(self, timeout: Timeout) -> float | None:
        return timeout_seconds(timeout, self.blocking.settings.timeout)


def _set_result(future: "asyncio.Future[Any]", error: HannerError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
