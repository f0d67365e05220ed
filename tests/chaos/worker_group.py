"""Workers that a plan can kill, stop, freeze and replace."""

import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from hanner.utils import processes
from support.forkserver import ForkedProcess, ForkServer
from support.systems import hanner

HANNER = hanner("chaos.worker")
TIMEOUT = 60.0


@dataclass(eq=False)
class Worker:
    """One worker. The id of its parent process is also the id of its process group."""

    process: ForkedProcess
    name: str
    url: str
    log: Path
    processes: list[psutil.Process] = field(default_factory=list)
    ready: bool = False

    @property
    def pid(self):
        return self.process.pid

    @property
    def status(self):
        """The exit status; None if the worker runs."""
        return self.process.poll()

    def pool(self):
        """Return the pool processes, without resource trackers and the like."""
        try:
            found = psutil.Process(self.pid).children()
        except psutil.NoSuchProcess:
            return []
        return [process for process in found if process.is_running()]

    def signal(self, number):
        os.kill(self.pid, number)

    def signal_all(self, number):
        """Send a signal to the parent and its pool."""
        os.killpg(self.pid, number)


class WorkerGroup:
    """All workers of a run, forked from one fork server; a context manager that kills them all at the end.

    Args:
        system: The system to run.
        url: The URL of the broker. If it has several addresses, each has as many workers as the others.
        folder: The folder for log files.
        event_log: Where workers report that they are ready.
        env: Environment variables for all workers.
        concurrency: Pool processes per worker.
    """

    def __init__(self, system, url, folder, event_log, *, env=None, concurrency=2):
        self._folder = Path(folder)
        self._folder.mkdir(exist_ok=True)
        self._event_log = event_log
        self._concurrency = concurrency
        self._app = system.app
        self.workers = []
        self.removed = []
        self._urls = url.split(",")
        self._environment = {
            **os.environ,
            "HANNER_BROKER_URL": self._urls[0],
            "CHAOS_EVENT_LOG": str(event_log.path),
            "STOCK_MODEL": "chaos.fake_model",
            "PYTHONUNBUFFERED": "1",
            **(env or {}),
        }
        with (self._folder / "forkserver.log").open("wb") as log:
            self._forkserver = ForkServer(system.imports, python=system.python, env=self._environment, log=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self, *options):
        """Start one worker without waiting until it is ready."""
        name = f"w{len(self.workers) + len(self.removed)}"
        url = min(self._urls, key=lambda url: sum(worker.url == url for worker in self.workers))
        log = self._folder / f"{name}.log"
        arguments = ["-A", self._app, "worker", "-c", str(self._concurrency), "-l", "INFO", "-n", f"{name}@%h"]
        with log.open("ab") as output:
            env = {**self._environment, "HANNER_BROKER_URL": url}
            process = self._forkserver.start([*arguments, *options], output.fileno(), env)
        worker = Worker(process, name, url, log)
        self.workers.append(worker)
        return worker

    def wait_ready(self, worker, timeout=TIMEOUT):
        """Wait until a worker consumes."""
        if not self._event_log.wait_for(lambda log: worker.pid in log.ready or worker.status is not None, timeout):
            raise TimeoutError(f"{worker.name} is not ready:\n{processes.last_lines(worker.log)}")
        if worker.status is not None:
            raise RuntimeError(f"{worker.name} exited during its start:\n{processes.last_lines(worker.log, 40)}")

    def ready(self):
        """Return the workers that consume."""
        return [w for w in self.workers if w.status is None and w.pid in self._event_log.ready]

    def remove(self, worker):
        """Remove a worker that was killed or is about to be stopped from `workers`, so that its exit is expected."""
        self.workers.remove(worker)
        self.removed.append(worker)

    def wait_exit(self, worker, timeout=TIMEOUT):
        """Wait until a worker exits, and return its exit status."""
        try:
            return worker.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{worker.name} does not exit:\n{processes.last_lines(worker.log)}") from None

    def unexpected_exits(self):
        """Return the workers that exited without being removed before."""
        return [worker for worker in self.workers if worker.status is not None]

    def close(self):
        """Kill all workers and the fork server."""
        for worker in [*self.workers, *self.removed]:
            try:
                worker.signal_all(signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        self._forkserver.close()
