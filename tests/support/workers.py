"""The real `celery … worker` as a subprocess, and a foreign Celery app that talks to it without hanner's client."""

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from celery import Celery

TESTS = Path(__file__).parents[1]
SHORT_LEASE = {"HANNER_LEASE": "1"}
"""Environment of a worker whose silence is noticed soon."""


class Worker:
    """A running worker; its output is read all the time and can be waited on."""

    command = ()
    """What starts it; Celery with the app when empty."""

    def __init__(self, url, *options, app="support.fake_worker", env=None):
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
        self.process = subprocess.Popen(
            [*(self.command or (sys.executable, "-m", "celery", "-A", app, "worker", "-l", "INFO")), *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip())
                self._changed.notify_all()
        with self._changed:
            self.lines.append("<end>")
            self._changed.notify_all()

    @property
    def output(self):
        return "\n".join(self.lines)

    def wait_for(self, what, timeout=30, times=1):
        def said():
            return sum(what in line for line in self.lines) >= times or "<end>" in self.lines

        with self._changed:
            assert self._changed.wait_for(said, timeout), f"no {what!r} in:\n{self.output}"
            assert sum(what in line for line in self.lines) >= times, f"ended without {what!r}:\n{self.output}"

    def stop(self, timeout=30):
        """Warm shutdown; return the exit status."""
        self.process.terminate()
        return self.wait(timeout)

    def kill(self):
        self.process.kill()
        self.wait()

    def wait(self, timeout=30):
        status = self.process.wait(timeout)
        self._reader.join(timeout)
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        self.process.stdout.close()


@contextmanager
def worker(url, *options, ready=True, **kwargs):
    """Run a worker until it is ready, and kill it at the end if the test did not stop it."""
    running = Worker(url, *options, **kwargs)
    try:
        if ready:
            running.wait_for("ready: model")
        yield running
    finally:
        running.close()
        print(running.output)  # noqa: T201 - pytest shows it if the test fails


@contextmanager
def foreign_app(url):
    """Yield a Celery app as anyone would write it, knowing of hanner nothing but names."""
    app = Celery("foreign", broker=url, backend=url, set_as_current=False)
    app.conf.update(task_routes={"*": {"queue": "hanner"}}, result_expires=600)
    try:
        yield app
    finally:
        consumer = app.backend.result_consumer
        consumer.stop()
        consumer._pubsub = None  # results outlive the server, and would look for it when they are collected
        app.backend.client.close()
        app.close()


class Events:
    """Collects the worker's events on a thread."""

    def __init__(self, app):
        self.seen = []
        self._changed = threading.Condition()
        self._connection = app.connection_for_read()
        self._receiver = app.events.Receiver(self._connection, handlers={"*": self._take})
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _take(self, event):
        with self._changed:
            self.seen.append(event)
            self._changed.notify_all()

    def _run(self):
        with self._receiver.consumer_context() as (connection, _, _):
            self._started.set()
            while not self._receiver.should_stop:
                try:
                    connection.drain_events(timeout=0.2)
                except TimeoutError:
                    continue

    def __enter__(self):
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_):
        self._receiver.should_stop = True
        self._thread.join(10)
        self._connection.release()

    def of(self, task_id):
        return [event["type"] for event in self.seen if event.get("uuid") == task_id]

    def wait_for(self, condition, timeout=15):
        """Wait until a condition holds, and return what it gave."""
        with self._changed:
            found = self._changed.wait_for(lambda: condition(self), timeout)
            assert found, [(e["type"], e.get("uuid")) for e in self.seen]
            return found


def runs(client):
    """Lengths of the texts of every run of the model so far."""
    return [json.loads(run) for run in client.lrange("runs", 0, -1)]


def unacked(client):
    """Return the tags of all unacknowledged messages."""
    return [tag for key in client.keys("hanner:hanner:unacked:*") for tag in client.hkeys(key)]


def found(result):
    """Wait for a result and return how many entities it has."""
    return len(result.get(timeout=30)["entities"])
