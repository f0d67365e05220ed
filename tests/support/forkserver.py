"""A fork server: forks Celery workers from a process with all imports done, in 50 ms instead of seconds.

    python -m support.forkserver MODULE…

A line `start LOGFILE ARGUMENT…` (separated by tabs) on stdin forks a worker; the server prints `started PID`, and
`exited PID STATUS` when the worker exits. Each worker runs the `celery` command in its own session and is killed when
the server exits. The Celery app is created in the worker.
"""

import ctypes
import importlib
import os
import selectors
import signal
import sys
from pathlib import Path

from celery.bin import celery as command

PR_SET_PDEATHSIG = 1  # linux/prctl.h
COMMON = (
    "celery.bin.worker",
    "celery.concurrency.prefork",
    "celery.worker.consumer",
    "kombu.transport.redis",
    "celery.backends.redis",
)


def main():
    for module in [*COMMON, *sys.argv[1:]]:
        importlib.import_module(module)
    wakeup_read, wakeup_write = os.pipe()
    for end in (wakeup_read, wakeup_write):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(wakeup_read, selectors.EVENT_READ)
        write("ready")
        while True:
            for key, _ in selector.select():
                if key.fileobj is not sys.stdin:
                    os.read(wakeup_read, 4096)
                elif not (line := sys.stdin.buffer.raw.read(65536)):
                    return
                else:
                    for request in line.decode().splitlines():
                        _, log, *arguments = request.split("\t")
                        write(f"started {fork(log, arguments)}")
            reap()


def reap():
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        write(f"exited {pid} {os.waitstatus_to_exitcode(status)}")


def write(line):
    os.write(1, f"{line}\n".encode())


def fork(log, arguments):
    server = os.getpid()
    if pid := os.fork():
        return pid
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server:
        os._exit(1)
    with Path(log).open("ab", buffering=0) as file, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["celery", *arguments]
    status = 1
    try:
        status = command.main() or 0
    except SystemExit as exit_:
        status = exit_.code if isinstance(exit_.code, int) else int(bool(exit_.code))
    finally:
        os._exit(status)
    return None


if __name__ == "__main__":
    main()
