"""Fork safety: objects that own sockets, threads or locks register here and are reset in every forked child.

A child must not use its parent's sockets, threads and locks.
"""

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """An object that owns sockets, threads or locks."""

    def reset_after_fork(self) -> None:
        """Drop everything that belongs to the parent; close nothing that both processes share."""


_registered: "weakref.WeakSet[Forkable]" = weakref.WeakSet()
_hook_installed = False


def register(owner: Forkable) -> None:
    """Call `owner.reset_after_fork()` in every child that this process forks, as long as `owner` is alive."""
    global _hook_installed  # noqa: PLW0603 - a fork hook cannot be removed, so only one is installed, on first use
    _registered.add(owner)
    if not _hook_installed:
        _hook_installed = True
        os.register_at_fork(after_in_child=_reset_all)


def _reset_all() -> None:
    for owner in list(_registered):
        owner.reset_after_fork()
