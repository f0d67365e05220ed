"""Workers that a plan can kill, stop, freeze and replace."""

import os
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from hanner.utils import processes
from support.systems import hanner

TESTS = Path(__file__).parents[1]
HANNER = hanner("chaos.worker")
TIMEOUT = 60.0


@dataclass(eq=False)
class Worker:
    """One worker. The id of its parent process is also the id of its process group."""

    pid: int
    name: str
    log: Path
    processes: list[psutil.Process] = field(default_factory=list)
    status: int | None = None
    ready: bool = False

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
        url: The URL of the broker.
        folder: The folder for log files.
        event_log: Where workers report that they are ready.
        env: Environment variables for all workers.
        concurrency: Pool processes per worker.
    """

    def __init__(self, system, url, folder, event_log, *, env=None, concurrency=2):
        self._folder = Path(folder)
        self._event_log = event_log
        self._concurrency = concurrency
        self._changed = threading.Condition()
        self._started = []
        self.workers = []
        self.removed = []
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")])),
            "HANNER_BROKER_URL": url,
            "CHAOS_EVENT_LOG": str(event_log.path),
            "STOCK_MODEL": "chaos.fake_model",
            "PYTHONUNBUFFERED": "1",
            **(env or {}),
        }
        with (self._folder / "forkserver.log").open("wb") as log:
            self._forkserver = subprocess.Popen(
                [system.python, "-m", "support.forkserver", *system.imports],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._app = system.app
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        for line in self._forkserver.stdout:
            event, *values = line.decode().split()
            with self._changed:
                if event == "started":
                    self._started.append(int(values[0]))
                elif event == "exited":
                    for worker in [*self.workers, *self.removed]:
                        if worker.pid == int(values[0]) and worker.status is None:
                            worker.status = int(values[1])
                            break
                    else:
                        self._started.append((int(values[0]), int(values[1])))
                self._changed.notify_all()

    def start(self, *options):
        """Start one worker without waiting until it is ready."""
        name = f"w{len(self.workers) + len(self.removed)}"
        log = self._folder / f"{name}.log"
        arguments = ["-A", self._app, "worker", "-c", str(self._concurrency), "-l", "INFO", "-n", f"{name}@%h"]
        with self._changed:
            count = len(self._started)
            line = "\t".join(["start", str(log), *arguments, *options])
            self._forkserver.stdin.write(f"{line}\n".encode())
            self._forkserver.stdin.flush()
            answered = self._changed.wait_for(lambda: len(self._started) > count, TIMEOUT)
            assert answered, "the fork server does not answer"
            worker = Worker(self._started[-1], name, log)
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
        with self._changed:
            if not self._changed.wait_for(lambda: worker.status is not None, timeout):
                raise TimeoutError(f"{worker.name} does not exit:\n{processes.last_lines(worker.log)}")
        return worker.status

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
        self._forkserver.stdin.close()
        self._forkserver.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        self._forkserver.stdout.close()
