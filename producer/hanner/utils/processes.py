"""Child processes that end with their parent, however it ends, and that a terminal's Ctrl-C does not reach."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def start(
    command: Sequence[str],
    *,
    output: IO[Any] | int | None = None,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    keep: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Start a child in a session of its own.

    On Linux the kernel sends it SIGTERM when the thread that started it ends, so start it from a thread that stays.

    Args:
        command: Program and arguments.
        output: Where both its outputs go; the parent's when None.
        env: Its environment; the parent's when None.
        folder: Its working folder.
        keep: File descriptors of the parent's that it holds open, such as a lock's.

    Raises:
        OSError: it cannot be run.
    """
    return subprocess.Popen(  # noqa: S603 - callers pass lists made here, no shell is involved
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        env=None if env is None else dict(env),
        cwd=folder,
        pass_fds=keep,
        start_new_session=True,
        preexec_fn=_dies_with(os.getpid()),  # noqa: PLW1509 - runs two system calls, no Python that takes locks
    )


def stop(process: "subprocess.Popen[bytes]", *, patience: float) -> bool:
    """End a child and all of its session: SIGTERM, and after so many seconds SIGKILL. False when it took the latter."""
    try:
        if process.poll() is None:
            process.terminate()
            process.wait(patience)
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # itself, or children of its own that are left
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return True


def end_with_parent(parent: int) -> None:
    """Have this process end when the thread that started it does, for children that another library starts.

    Args:
        parent: its process's id; if that is gone already, this one ends at once.
    """
    if tie := _dies_with(parent):
        tie()


def _dies_with(parent: int) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel knew
            os._exit(1)

    return tie


def last_lines(path: Path, count: int = 15) -> str:
    """Return the last lines of a log file, empty when there is none."""
    with contextlib.suppress(OSError):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16_384))
            lines = file.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-count:])
    return ""
