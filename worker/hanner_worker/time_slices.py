"""Give a CPU-bound process long time slices. Calls Linux's scheduler; elsewhere nothing changes.

A pool process computes for milliseconds; the worker's parent, Redis and clients compute for microseconds and wait in
between. Linux runs first what asks for the shorter slices, and from 6.12 on a process may ask for longer ones
(`sched_runtime` in sched_setattr(2), https://lwn.net/Articles/969062/). The share of the CPU stays the same, unlike
with a higher nice value. docs/explanation/queue.md has the measurements.
"""

import ctypes
import platform
import struct

SECONDS = 0.1
"""The longest slice that Linux accepts."""

_ATTRIBUTES = struct.Struct("IIQiIQQQII")
"""struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period, utilisation at least, at most."""
_POLICY, _RUNTIME = 1, 5
_FAIR_POLICIES = frozenset({0, 3})
"""SCHED_OTHER and SCHED_BATCH."""
_SYSTEM_CALLS = {"x86_64": (315, 314), "aarch64": (275, 274), "riscv64": (275, 274)}
"""The numbers of sched_getattr and sched_setattr; glibc has functions for them only from 2.41 on."""


def use_long_slices() -> bool:
    """Set the slices of this thread, and of those that it starts, to SECONDS; return whether the kernel accepted that.

    It has no effect before Linux 6.12, although the kernel accepts it.
    """
    attributes = _read(0)
    if attributes is None or attributes[_POLICY] not in _FAIR_POLICIES:
        return False
    attributes[_RUNTIME] = round(SECONDS * 1e9)
    return _call(1, 0, _ATTRIBUTES.pack(*attributes), 0) is not None


def read_slice(pid: int) -> float | None:
    """Return the length of a process's time slices in seconds; 0 or None if the kernel does not tell."""
    attributes = _read(pid)
    return None if attributes is None else attributes[_RUNTIME] / 1e9


def _read(pid: int) -> list[int] | None:
    found = _call(0, pid, bytes(_ATTRIBUTES.size), _ATTRIBUTES.size, 0)
    return None if found is None else list(_ATTRIBUTES.unpack(found))


def _call(which: int, pid: int, attributes: bytes, *arguments: int) -> bytes | None:
    """Call sched_getattr (0) or sched_setattr (1); return the attributes, or None if it failed or does not exist."""
    numbers = _SYSTEM_CALLS.get(platform.machine()) if platform.system() == "Linux" else None
    if numbers is None:
        return None
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    failed = ctypes.CDLL(None).syscall(numbers[which], pid, buffer, *arguments)
    return None if failed else buffer.raw
