"""Forks workers from a process that has imported everything: a worker in 50 ms, where the command takes seconds.

    python -m chaos.nursery MODULE…

A line `start LOGFILE ARGUMENT…` on its input forks one and is answered by `started PID`; `ended PID STATUS` tells its
end. The workers run what the command `celery` runs, each in a session of its own, and end with the nursery. The Celery
app is made in the worker.
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
    wakeup, bell = os.pipe()
    for end in (wakeup, bell):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(wakeup, selectors.EVENT_READ)
        say("ready")
        while True:
            for key, _ in selector.select():
                if key.fileobj is not sys.stdin:
                    os.read(wakeup, 4096)
                elif not (line := sys.stdin.buffer.raw.read(65536)):
                    return
                else:
                    for request in line.decode().splitlines():
                        _, log, *arguments = request.split("\t")
                        say(f"started {fork(log, arguments)}")
            reap()


def reap():
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        say(f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def say(line):
    os.write(1, f"{line}\n".encode())


def fork(log, arguments):
    nursery = os.getpid()
    if pid := os.fork():
        return pid
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != nursery:
        os._exit(1)
    with Path(log).open("ab", buffering=0) as file, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["celery", *arguments]
    status = 1
    try:
        status = command.main() or 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    finally:
        os._exit(status)
    return None


if __name__ == "__main__":
    main()
