"""Give memory that is no longer used back to the system, where the C library can."""

import ctypes
import gc
import time
from collections.abc import Callable

PAUSE = 0.1
"""Seconds between two returns after batches: it takes half a millisecond, as long as a small batch."""


def _find_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library: nothing is kept, or nothing can be done
        return None


_trim = _find_trim()


class HeapTrimmer:
    """Gives memory back after batches, but not after each of many short ones.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = float("-inf")

    def after_batch(self) -> None:
        """Return free heap to the system, unless that was done a moment ago."""
        if (now := self._clock()) >= self._next:
            self._next = now + PAUSE
            trim_heap(collect=False)


def trim_heap(*, collect: bool = True) -> None:
    """Return free heap to the system; glibc keeps it otherwise.

    Args:
        collect: collect Python's garbage first, which takes far longer.
    """
    if collect:
        gc.collect()
    if _trim is not None:
        _trim(0)
