"""After a fork, a child must not use its parent's sockets, threads and locks: what wants to know registers here."""

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that holds sockets, threads or locks."""

    def after_fork(self) -> None:
        """Forget, in a forked child, all that belongs to the parent; close nothing that is shared with it."""


_registered: "weakref.WeakSet[Forkable]" = weakref.WeakSet()
_hooked = False


def register(thing: Forkable) -> None:
    """Have `thing.after_fork()` called in every child this process forks, for as long as `thing` lives."""
    global _hooked  # noqa: PLW0603 - a hook cannot be taken back, so one is set, and only when first needed
    _registered.add(thing)
    if not _hooked:
        _hooked = True
        os.register_at_fork(after_in_child=_tell)


def _tell() -> None:
    for thing in list(_registered):
        thing.after_fork()
