"""The state file of `hanner up`, by which clients and commands find the stack that runs on this machine.

`hanner up` holds a lock on the file while it runs. The kernel releases the lock however the process ends, so a file
that is not locked is out of date.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

if sys.platform != "win32":  # where no stack runs
    import fcntl

NAME = "running.json"
LOCK_TIMEOUT = 1.0
"""Seconds to wait for the lock: a reader holds it for some microseconds."""
RETRY_INTERVAL = 0.01


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A stack that `hanner up` runs on this machine.

    Attributes:
        broker_url: URL of its Redis, with the password.
        gateway_url: URL of its HTTP gateway, without a trailing slash; None if it has none.
    """

    broker_url: str
    gateway_url: str | None = None


def data_folder() -> Path:
    """Return the folder for data: $XDG_DATA_HOME/hanner, or ~/.local/share/hanner. It may not exist yet.

    Raises:
        RuntimeError: the user has no home folder.
    """
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "hanner"


def find_running_stack() -> RunningStack | None:
    """Return the stack that runs on this machine; None if no stack runs."""
    with contextlib.suppress(OSError, RuntimeError, ValueError, TypeError):  # no home, no file, or another version's
        path = data_folder() / NAME
        with path.open("rb") as file:
            if _is_locked(file.fileno()):
                return RunningStack(**json.loads(file.read()))
    return None


@contextlib.contextmanager
def register_stack(stack: RunningStack) -> Iterator[bool]:
    """Register a stack for clients while the context lasts; yields False if another one is registered already.

    Args:
        stack: The stack.

    Raises:
        OSError: the file cannot be written.
    """
    path = data_folder() / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # the URL may have a password
    try:
        is_registered = _lock(descriptor)
        if is_registered:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(stack)).encode(), 0)
        yield is_registered
        if is_registered:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    """Return whether another process has the exclusive lock of a file."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _lock(descriptor: int) -> bool:
    """Lock a file exclusively; return False if another process keeps it locked."""
    if sys.platform == "win32":
        return False
    until = time.monotonic() + LOCK_TIMEOUT
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() > until:
            return False
        time.sleep(RETRY_INTERVAL)
