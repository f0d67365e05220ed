"""A flag that a worker's parent sets and its forked processes read, without a system call."""

import mmap


class SharedFlag:
    """A flag in memory that a process shares with those that are forked from it.

    A process that was not forked has a flag of its own, which is never set.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def set(self, value: bool) -> None:  # noqa: FBT001
        """Set or clear the flag."""
        self._memory[0] = value

    def is_set(self) -> bool:
        """Return whether the flag is set."""
        return bool(self._memory[0])
