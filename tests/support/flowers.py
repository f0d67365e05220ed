"""Run the real `hanner flower` as a subprocess and query its API."""

import base64
import json
import re
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from support.commands import command
from support.ports import free_port
from support.waiting import wait_until

TIMEOUT = 180
"""Seconds for one request, one condition, or the exit."""
MAX_SECONDS = 900
"""Seconds after which Flower is killed. One process serves all tests of a module."""
READY = re.compile(r"Flower: (\S+)/(?:  user (\S+), password (?:(\S+) \(kept in (.+)\)|in (.+)))?")


class Flower:
    """A running Flower.

    Attributes:
        url: Its address, without a trailing slash.
        user: The user name; None if hanner did not set a password.
        password: The password of `user`.
        first_line: The first line of its output.
    """

    def __init__(self, process):
        self._process = process
        self.first_line = process.stdout.readline()
        found = READY.fullmatch(self.first_line.strip())
        assert found, self.first_line + process.stdout.read()
        self.url, self.user = found[1], found[2]
        file = found[4] or found[5]
        self.password = Path(file).read_text(encoding="utf-8").strip() if file else None
        self.lines = []
        self._reader = threading.Thread(target=lambda: self.lines.extend(process.stdout), daemon=True)
        self._reader.start()

    def get(self, path, *, user=None, password=None, data=None, headers=None):
        """Return status and body of a GET request, or of a POST request with `data`.

        It sends the password unless `password` is empty.
        """
        request = urllib.request.Request(self.url + path, data, headers or {})
        password = self.password if password is None else password
        if password:
            secret = base64.b64encode(f"{user or self.user}:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {secret}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def tasks(self):
        """Return all tasks that Flower knows, by task id."""
        status, body = self.get("/api/tasks")
        assert status == 200, body
        return json.loads(body)

    def wait_for(self, condition):
        """Poll the tasks until a condition holds, and return them."""
        tasks = {}

        def holds():
            nonlocal tasks
            tasks = self.tasks()
            return condition(tasks)

        wait_until(holds, TIMEOUT, why=lambda: f"{len(tasks)} tasks\n" + "".join(self.lines))
        return tasks

    def wait_for_workers(self, workers=1):
        """Wait until Flower has received events of this many workers; from then on it receives those of requests."""
        wait_until(
            lambda: self.get("/metrics")[1].count("flower_worker_online{") >= workers,
            TIMEOUT,
            why=lambda: "".join(self.lines),
        )
        return self

    def stop(self):
        """Send SIGTERM and return the exit status."""
        self._process.terminate()
        status = self._process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        return status


@contextmanager
def flower(url, data, *arguments, env=None, cwd=None):
    """Run Flower for the Redis at `url`, with its files in the folder `data`."""
    options = ("--broker", url, "--data", str(data), "--port", str(free_port()), *arguments)
    with command("flower", *options, env=env, cwd=cwd, timeout=MAX_SECONDS) as process:
        yield Flower(process)
