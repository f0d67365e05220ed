"""Helpers of hanner's commands for this machine: child processes, a free port.

Children end with their parent, however it ends, and a terminal's Ctrl-C does not reach them.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def check_port(host: str, port: int) -> None:
    """Bind a port and release it, because servers report a port in use late or unclearly.

    Raises:
        socket.gaierror: the host is not an address of this machine.
        OSError: the port is in use, or binding to it is not permitted.
    """
    _bind_and_release(host, port)


def find_port(host: str) -> int:
    """Return a free port. Another program may bind it before the caller does.

    Raises:
        OSError: the host is not an address of this machine.
    """
    return _bind_and_release(host, 0)


def _bind_and_release(host: str, port: int) -> int:
    """Return the port that was bound; 0 binds any free port."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        # Without this option, a server's port counts as in use for a minute after the server has exited.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        return int(probe.getsockname()[1])


def start(
    command: Sequence[str],
    *,
    output: IO[Any] | int | None = None,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    keep: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Start a child in its own session.

    On Linux the kernel sends it SIGTERM when the thread that started it ends. Start it from a long-lived thread.

    Args:
        command: Program and arguments.
        output: Where its standard output and error go; the parent's when None.
        env: Its environment; the parent's when None.
        folder: Its working folder.
        keep: File descriptors of the parent that it inherits, such as a lock's.

    Raises:
        OSError: the command cannot be run.
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
        preexec_fn=_terminate_with(os.getpid()),  # noqa: PLW1509 - runs two system calls, no Python that takes locks
    )


def stop(process: "subprocess.Popen[bytes]", *, timeout: float) -> bool:
    """Stop a child and its session: send SIGTERM, then SIGKILL after `timeout` seconds. Return False after SIGKILL."""
    try:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout)
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the child, and children of its own
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return True


def end_with_parent(parent: int) -> None:
    """Terminate this process when the thread that started it ends, for children that another library starts.

    Args:
        parent: Process id of the parent; if it has already exited, this process exits at once.
    """
    if tie := _terminate_with(parent):
        tie()


def _terminate_with(parent: int) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it exited before the call
            os._exit(1)

    return tie


def last_lines(path: Path, count: int = 15) -> str:
    """Return the last lines of a log file, or an empty string if it cannot be read."""
    with contextlib.suppress(OSError):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16_384))
            lines = file.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-count:])
    return ""
