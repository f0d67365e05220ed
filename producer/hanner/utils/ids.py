"""Ids of tasks: random UUIDs. Threads and forked processes may share this module."""

import os
from collections import deque
from typing import Final

READ_AT_ONCE: Final = 256
"""Ids whose random bytes are read together: reading releases the interpreter's lock, and another thread takes it."""

_hex: deque[str] = deque()
os.register_at_fork(after_in_child=_hex.clear)


def new_task_id() -> str:
    """Return a random UUID, version 4."""
    try:
        digits = _hex.popleft()
    except IndexError:
        all_digits = os.urandom(16 * READ_AT_ONCE).hex()
        _hex.extend(all_digits[start : start + 32] for start in range(32, len(all_digits), 32))
        digits = all_digits[:32]
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
