"""Calls functions in an event loop from other threads, with one wake-up for all calls that are ready."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")


class LoopBridge:
    """Schedules calls in a loop from threads. asyncio alone would wake the loop for every call.

    Args:
        loop: The loop that makes the calls.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: Final = loop
        self._calls: deque[Callable[[], None]] = deque()
        self._is_scheduled = False
        self._once: set[Callable[[], None]] = set()

    def call_once(self, call: Callable[[], None]) -> None:
        """Schedule a call in the loop, unless it is scheduled already. Only the loop's thread may do this."""
        if call not in self._once:
            self._once.add(call)
            self.loop.call_soon(self._run_once, call)

    def _run_once(self, call: Callable[[], None]) -> None:
        self._once.discard(call)
        call()

    def call_soon(self, call: Callable[[], None]) -> None:
        """Schedule a call in the loop; any thread may do this. Do nothing if the loop is closed."""
        self._calls.append(call)
        if not self._is_scheduled:
            self._is_scheduled = True
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._run_calls)

    def wrap_future(self, future: "Future[T]") -> "asyncio.Future[T]":
        """Return a future of the loop that gets the state of a thread's future. Cancelling it has no effect on that."""
        target: asyncio.Future[T] = self.loop.create_future()
        if future.done():
            copy_future_state(future, target)
        else:
            future.add_done_callback(lambda source: self.call_soon(partial(copy_future_state, source, target)))
        return target

    def _run_calls(self) -> None:
        self._is_scheduled = False  # before the calls are made: one added from now on wakes the loop again
        while self._calls:
            self._calls.popleft()()


def copy_future_state(source: "Future[T]", target: "asyncio.Future[T]") -> None:
    """Copy result, exception or cancellation of a finished future; do nothing if the target is done."""
    if target.done():
        return
    if source.cancelled():
        target.cancel()
    elif (error := source.exception()) is not None:
        target.set_exception(error)
    else:
        target.set_result(source.result())
