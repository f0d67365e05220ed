"""Keeps modules in the working folder from replacing the libraries that the worker imports."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = Path(__file__).parents[1]
"""The folder that contains this package."""


@contextmanager
def without_working_folder() -> Iterator[None]:
    """Remove the working folder from the front of `sys.path` until the end of the block.

    Celery puts it there while it imports an app, so a `redis.py` of another program would be imported as the library.
    """
    first = sys.path[0]
    if not _is_working_folder(first):
        yield
        return
    del sys.path[0]
    try:
        yield
    finally:
        sys.path.insert(0, first)


def _is_working_folder(folder: str) -> bool:
    """Return whether an entry of `sys.path` is the working folder, unless hanner itself is installed there."""
    try:
        cwd = Path.cwd()
    except FileNotFoundError:  # it was deleted
        return False
    return folder in {"", str(cwd)} and not cwd.samefile(PACKAGES)
