"""Return unused heap memory to the operating system, if the C library can do so."""

import ctypes
import gc
import time
from collections.abc import Callable

MIN_INTERVAL = 0.1
"""Seconds between two trims after batches. A trim takes half a millisecond, as long as a small batch."""


def _find_malloc_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # only glibc has it
        return None


_malloc_trim = _find_malloc_trim()


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
