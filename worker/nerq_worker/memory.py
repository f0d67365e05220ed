"""Give memory that is no longer used back to the system, where the C library can."""

import ctypes
import gc
from collections.abc import Callable


def _find_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library: nothing is kept, or nothing can be done
        return None


_trim = _find_trim()


def give_back(*, collect: bool = True) -> None:
    """Return free heap to the system; glibc keeps it otherwise.

    Args:
        collect: collect Python's garbage first, which takes far longer.
    """
    if collect:
        gc.collect()
    if _trim is not None:
        _trim(0)
