"""A fork server: forks Celery workers from a process that has imported everything, which saves most of a cold start.

    with ForkServer(modules) as server:
        process = server.start(["-A", "app", "worker"], output, env)

The server is a process of its own, `python -m support.forkserver MODULE…`, so that the tests' threads and connections
are not copied. Each worker runs the `celery` command in its own session, with its own environment, and is killed when
the server exits. The Celery app is created in the worker: only modules that read no settings may be imported before.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

AVAILABLE = sys.platform == "linux"
"""The server needs SOCK_SEQPACKET and PR_SET_PDEATHSIG."""
TESTS = Path(__file__).parents[1]
TIMEOUT = 180.0
MAX_REQUEST = 1 << 17
"""Bytes of a request, which has the worker's arguments and environment."""
PR_SET_PDEATHSIG = 1  # linux/prctl.h
COMMON = (
    "celery.__main__",
    "celery.bin.celery",
    "celery.bin.worker",
    "celery.concurrency.prefork",
    "celery.worker.consumer",
    "kombu.transport.redis",
    "celery.backends.redis",
)


class ForkServer:
    """A running fork server; a context manager that kills it and its workers at the end.

    Args:
        modules: Modules to import before the first fork.
        python: The Python interpreter that runs it.
        env: The environment of the server, and of workers that have none of their own.
        log: A file for the server's own messages; by default they are shown.
    """

    def __init__(self, modules=(), *, python=sys.executable, env=None, log=None):
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._changed = threading.Condition()
        self._starting = threading.Lock()
        self._processes = {}
        self._started = None
        self._ended = False
        with theirs:
            self._server = subprocess.Popen(
                [python, "-m", "support.forkserver", *modules],
                env={**(os.environ if env is None else env), "PYTHONPATH": str(TESTS)},
                stdin=theirs,
                stderr=log,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self, arguments, output, env=None):
        """Start `celery` with these arguments, and return its process.

        Args:
            arguments: The arguments after `celery`.
            output: A file descriptor for its stdout and stderr.
            env: Its environment; by default the server's.
        """
        request = json.dumps({"arguments": [*arguments], "env": None if env is None else dict(env)}).encode()
        assert len(request) <= MAX_REQUEST
        with self._starting:
            with contextlib.suppress(OSError):  # the server exited
                socket.send_fds(self._socket, [request], [output])
            with self._changed:
                assert self._changed.wait_for(lambda: self._started or self._ended, TIMEOUT), "no answer"
                process, self._started = self._started, None
        assert process, "the fork server exited"
        return process

    def _read(self):
        with contextlib.suppress(OSError):  # the server exited with unread requests
            while message := self._socket.recv(4096):
                event, pid, status = json.loads(message)
                with self._changed:
                    if event == "started":
                        self._started = self._processes[pid] = ForkedProcess(pid, self._changed)
                    else:
                        self._processes.pop(pid).returncode = status
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            for process in self._processes.values():
                process.returncode = -signal.SIGKILL
            self._changed.notify_all()

    def close(self):
        """Kill the server and its workers."""
        with contextlib.suppress(OSError):  # the server exited
            self._socket.shutdown(socket.SHUT_WR)
        self._server.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        self._socket.close()


class ForkedProcess:
    """A process of the fork server, with those methods of subprocess.Popen that tests use."""

    def __init__(self, pid, changed):
        self.pid = pid
        self.returncode = None
        self._changed = changed

    def poll(self):
        return self.returncode

    def wait(self, timeout=None):
        with self._changed:
            if not self._changed.wait_for(lambda: self.returncode is not None, timeout):
                raise subprocess.TimeoutExpired("celery", timeout)
        return self.returncode

    def send_signal(self, number):
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def main():
    for module in [*sys.argv[1:], *COMMON]:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # workers do not look at these objects again
    if request := serve():
        run(**request)


def serve():
    """Serve until the client disconnects and return None. Each fork returns here too, with its worker's request."""
    client = socket.socket(fileno=os.dup(0))
    wakeup_read, wakeup_write = os.pipe()
    for end in (wakeup_read, wakeup_write):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with client, selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ)
        selector.register(wakeup_read, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is wakeup_read:
                    os.read(wakeup_read, 4096)
                    continue
                message, descriptors, _, _ = socket.recv_fds(client, MAX_REQUEST, 1)
                if not message:
                    return None
                (output,) = descriptors
                server = os.getpid()
                if pid := os.fork():
                    os.close(output)
                    client.send(json.dumps(["started", pid, None]).encode())
                    continue
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(wakeup_read)
                os.close(wakeup_write)
                become_worker(server, output)
                return json.loads(message)
            reap(client)


def reap(client):
    """Report the exits of workers."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        client.send(json.dumps(["exited", pid, os.waitstatus_to_exitcode(status)]).encode())


def become_worker(server, output):
    """Leave the session of the server, request SIGKILL for the time when it exits, and write to `output`."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server:
        os._exit(1)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, write_through=True)


def run(arguments, env):
    """Run the `celery` command until it exits."""
    if env is not None:
        os.environ.clear()
        os.environ.update(env)
        time.tzset()
    sys.argv = ["celery", *arguments]
    importlib.import_module("celery.__main__").main()


if __name__ == "__main__":
    main()
