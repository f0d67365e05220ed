"""Brings what threads have to say into an event loop: one wake-up for all that is ready by then."""

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
    """Calls that threads want made in a loop; asyncio's own way wakes the loop for each of them.

    Args:
        loop: Where the calls are made.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: Final = loop
        self._calls: deque[Callable[[], None]] = deque()
        self._woken = False

    def put(self, call: Callable[[], None]) -> None:
        """Have a call made in the loop; any thread may ask. Nothing happens when the loop is closed."""
        self._calls.append(call)
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._make)

    def wrap(self, future: "Future[T]") -> "asyncio.Future[T]":
        """Return a future of the loop that follows one of a thread's. Cancelling it does not reach the other."""
        waiting: asyncio.Future[T] = self.loop.create_future()
        if future.done():
            follow(waiting, future)
        else:
            future.add_done_callback(lambda done: self.put(partial(follow, waiting, done)))
        return waiting

    def _make(self) -> None:
        self._woken = False  # first: who comes from now on wakes the loop again
        while self._calls:
            self._calls.popleft()()


def follow(waiting: "asyncio.Future[T]", done: "Future[T]") -> None:
    """Give a future of the loop what another has brought."""
    if waiting.done():
        return
    if done.cancelled():
        waiting.cancel()
    elif (error := done.exception()) is not None:
        waiting.set_exception(error)
    else:
        waiting.set_result(done.result())
