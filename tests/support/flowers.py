"""The real `hanner flower` as a subprocess, and what its API says."""

import base64
import json
import re
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from support.commands import command
from support.ports import free_port

PATIENCE = 60
LONGEST = 900
"""Seconds after which a Flower is killed: one lives through all tests of a module."""
READY = re.compile(r"Flower: (\S+)/(?:  user (\S+), password (?:(\S+) \(kept in (.+)\)|in (.+)))?")


class Flower:
    """A Flower that runs.

    Attributes:
        url: Its address, without a slash at the end.
        user: Who may log in; None if it is not by hanner's password.
        password: With what.
        said: The line with which it started.
    """

    def __init__(self, process):
        self._process = process
        self.said = process.stdout.readline()
        found = READY.fullmatch(self.said.strip())
        assert found, self.said + process.stdout.read()
        self.url, self.user = found[1], found[2]
        file = found[4] or found[5]
        self.password = Path(file).read_text(encoding="utf-8").strip() if file else None
        self.lines = []
        self._reader = threading.Thread(target=lambda: self.lines.extend(process.stdout), daemon=True)
        self._reader.start()

    def ask(self, path, *, user=None, password=None):
        """Return status and body of a request with the password; an empty one sends none."""
        request = urllib.request.Request(self.url + path)
        password = self.password if password is None else password
        if password:
            secret = base64.b64encode(f"{user or self.user}:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {secret}")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def tasks(self):
        """Return all that it knows, by task id."""
        status, body = self.ask("/api/tasks")
        assert status == 200, body
        return json.loads(body)

    def wait_for(self, condition):
        """Ask until what it knows fulfils a condition; return what it knows."""
        deadline = time.monotonic() + PATIENCE
        while not condition(tasks := self.tasks()):
            assert time.monotonic() < deadline, f"{len(tasks)} tasks\n" + "".join(self.lines)
        return tasks

    def hears(self, workers=1):
        """Return when it has heard of so many workers: then it hears of requests, too."""
        deadline = time.monotonic() + PATIENCE
        while self.ask("/metrics")[1].count("flower_worker_online{") < workers:
            assert time.monotonic() < deadline, "".join(self.lines)
        return self

    def stop(self):
        """SIGTERM; return the exit status."""
        self._process.terminate()
        status = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status


@contextmanager
def flower(url, data, *arguments, env=None):
    """Run Flower over the Redis at `url`, its files in the folder `data`."""
    options = ("--broker", url, "--data", str(data), "--port", str(free_port()), *arguments)
    with command("flower", *options, env=env, patience=LONGEST) as process:
        yield Flower(process)
