"""Run the real `celery … worker` as a subprocess, and use it from a Celery app without hanner's client."""

import atexit
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager, suppress
from functools import cache, partial

from celery import Celery

from support import forkserver
from support.forkserver import TESTS, ForkServer
from support.other_app import close_backend
from support.waiting import DEADLINE

MEASURED = "COVERAGE_PROCESS_CONFIG" in os.environ
"""Whether coverage is measured. A killed process writes no data, so workers are stopped at the end of a test."""
SHORT_LEASE = {"HANNER_LEASE": "1"}
"""Environment of a worker whose lease expires quickly."""


IMPORTED = (
    "hanner_worker.app",
    "hanner_worker.batching.consumer",
    "hanner_worker.batching.strategy",
    "hanner_worker.observability.collectors",
    "hanner_worker.observability.endpoint",
    "hanner_worker.observability.metrics",
    "hanner_worker.observability.tracing",
    "support.fakes.recogniser",
)
"""Modules that the fork server imports. They read no settings and start no threads, unlike numpy and onnxruntime."""


@cache
def fork_server():
    """Return this process's fork server, which runs until this process exits."""
    server = ForkServer(IMPORTED)
    atexit.register(server.close)
    return server


class Worker:
    """A running worker. A thread reads its output, so that tests can wait for a line.

    Args:
        url: The URL of the broker.
        options: Options of Celery's worker.
        app: The module of the Celery app.
        env: Environment variables.
        cwd: Working folder; a worker with one starts cold.
        terminal: A file descriptor of its controlling terminal; a worker with one starts cold.
        cold: Start a new interpreter, as users do. The default is a process of the fork server.
    """

    command = ()
    """The command that starts it; empty: Celery with the app."""

    def __init__(
        self,
        url,
        *options,
        app="support.scripted_worker",
        env=None,
        cwd=None,
        terminal=None,
        cold=not forkserver.AVAILABLE,
    ):
        self.lines = []
        self._changed = threading.Condition()
        environment = {
            **os.environ,
            "PYTHONPATH": str(TESTS),
            "HANNER_BROKER_URL": url,
            "HANNER_CONCURRENCY": "2",
            "PYTHONUNBUFFERED": "1",
            **(env or {}),
        }
        arguments = ("-A", app, "worker", "-l", "INFO", *options)
        output, theirs = os.pipe()
        try:
            if self.command or cold or cwd or terminal:
                celery = (sys.executable, "-P", "-m", "celery")  # like the script, it does not import from the folder
                command = (*self.command, *options) if self.command else (*celery, *arguments)
                take_terminal = partial(fcntl.ioctl, terminal, termios.TIOCSCTTY, 0) if terminal else None
                self.process = subprocess.Popen(
                    command,
                    env=environment,
                    cwd=cwd,
                    stdout=theirs,
                    stderr=theirs,
                    start_new_session=True,
                    preexec_fn=take_terminal,  # noqa: PLW1509 - one system call, which takes no lock
                )
            else:
                self.process = fork_server().start(arguments, theirs, environment)
        finally:
            os.close(theirs)
        self._output = open(output, encoding="utf-8", errors="replace")  # noqa: PTH123, SIM115 - closed by close()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self._output:
            with self._changed:
                self.lines.append(line.rstrip())
                self._changed.notify_all()
        with self._changed:
            self.lines.append("<end>")
            self._changed.notify_all()

    @property
    def output(self):
        return "\n".join(self.lines)

    def wait_for(self, what, timeout=DEADLINE, times=1):
        def seen():
            return sum(what in line for line in self.lines) >= times or "<end>" in self.lines

        with self._changed:
            assert self._changed.wait_for(seen, timeout), f"no {what!r} in:\n{self.output}"
            assert sum(what in line for line in self.lines) >= times, f"ended without {what!r}:\n{self.output}"

    def stop(self, timeout=DEADLINE):
        """Shut down warmly and return the exit status."""
        self.process.terminate()
        return self.wait(timeout)

    def kill(self):
        self.process.kill()
        self.wait()

    def wait(self, timeout=DEADLINE):
        status = self.process.wait(timeout)
        self._reader.join(timeout)
        return status

    def close(self):
        if MEASURED:
            for number in (signal.SIGTERM, signal.SIGQUIT):  # warm shutdown, cold shutdown
                with suppress(subprocess.TimeoutExpired):
                    self.process.send_signal(number)
                    self.process.wait(5)
        if self.process.poll() is None:
            self.process.kill()
        with suppress(ProcessLookupError):  # a pool process may outlive its parent and keep the output open
            os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()
        self._output.close()


@contextmanager
def worker(url, *options, ready=True, **kwargs):
    """Start a worker and wait until it is ready; kill it at the end unless the test stopped it."""
    with until_closed(Worker(url, *options, **kwargs), "ready: model" if ready else None) as running:
        yield running


@contextmanager
def until_closed(running, ready="ready: model"):
    """Wait until a worker prints `ready`, if that is given; kill it at the end unless the test stopped it."""
    try:
        if ready:
            running.wait_for(ready)
        yield running
    finally:
        running.close()
        print(running.output)  # noqa: T201 - pytest shows it if the test fails


@contextmanager
def foreign_app(url):
    """Yield a plain Celery app that knows only the names of hanner's tasks and queue."""
    app = Celery("foreign", broker=url, backend=url, set_as_current=False)
    app.conf.update(task_routes={"*": {"queue": "hanner"}}, result_expires=600)
    try:
        yield app
    finally:
        close_backend(app)
        app.close()


class Events:
    """Collects the worker's events in a thread."""

    def __init__(self, app):
        self.seen = []
        self._changed = threading.Condition()
        self._connection = app.connection_for_read()
        self._receiver = app.events.Receiver(self._connection, handlers={"*": self._add})
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _add(self, event):
        with self._changed:
            self.seen.append(event)
            self._changed.notify_all()

    def _run(self):
        with self._receiver.consumer_context() as (connection, _, _):
            while not self._receiver.should_stop:
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.05)  # the longest that the end of a test waits
                self._started.set()  # only now, because the first call subscribes

    def __enter__(self):
        self._thread.start()
        assert self._started.wait(DEADLINE)
        return self

    def __exit__(self, *_):
        self._receiver.should_stop = True
        self._thread.join(DEADLINE)
        self._connection.release()

    def of(self, task_id):
        return [event["type"] for event in self.seen if event.get("uuid") == task_id]

    def wait_for(self, condition, timeout=DEADLINE):
        """Wait until a condition holds, and return its value."""
        with self._changed:
            found = self._changed.wait_for(lambda: condition(self), timeout)
            assert found, [(e["type"], e.get("uuid")) for e in self.seen]
            return found


def runs(client):
    """Return the text lengths of each run of the model so far."""
    return [json.loads(run) for run in client.lrange("runs", 0, -1)]


def pad_text(text):
    """Return the text at a fixed length: texts of one length share a batch."""
    return text.ljust(20, "。")


def unacked(client):
    """Return the tags of all unacknowledged messages."""
    return [tag for key in client.keys("hanner:hanner:unacked:*") for tag in client.hkeys(key)]


def found(result):
    """Wait for a result and return its number of entities."""
    return len(result.get(timeout=DEADLINE)["entities"])
