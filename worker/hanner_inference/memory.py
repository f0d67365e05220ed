"""Keep the heap small: one for all threads, and unused memory is returned to the operating system. Needs glibc."""

import ctypes
import gc
import time
from collections.abc import Callable

MIN_INTERVAL = 0.1
"""Seconds between two trims after batches. A trim takes half a millisecond, as long as a small batch."""

_M_ARENA_MAX = -8
"""The option of mallopt for the maximum number of heaps."""


def _libc_function(name: str) -> Callable[..., int] | None:
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # only glibc has it
        return None
    return function


_malloc_trim = _libc_function("malloc_trim")


def share_heap() -> None:
    """Make threads that start from now on use the heap of the main thread.

    Otherwise each has its own, with memory that only it can use again.
    """
    if (mallopt := _libc_function("mallopt")) is not None:
        mallopt(_M_ARENA_MAX, 1)


class HeapTrimmer:
    """Trims the heap after batches, at most once per MIN_INTERVAL.

    Args:
        clock: monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = float("-inf")

    def after_batch(self) -> None:
        """Trim the heap unless it was trimmed less than MIN_INTERVAL ago."""
        if (now := self._clock()) >= self._next:
            self._next = now + MIN_INTERVAL
            trim_heap(collect=False)


def trim_heap(*, collect: bool = True) -> None:
    """Return free heap to the operating system; glibc keeps it otherwise.

    Args:
        collect: run Python's garbage collector first, which takes much longer.
    """
    if collect:
        gc.collect()
    if _malloc_trim is not None:
        _malloc_trim(0)
