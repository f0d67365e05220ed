"""Workers to be killed, stopped, frozen and replaced."""

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
PATIENCE = 60.0


@dataclass(eq=False)
class Worker:
    """One worker: its parent process's id leads its session."""

    pid: int
    name: str
    log: Path
    processes: list[psutil.Process] = field(default_factory=list)
    status: int | None = None
    ready: bool = False

    def pool(self):
        """Return the processes that infer, without those that watch semaphores and the like."""
        try:
            found = psutil.Process(self.pid).children()
        except psutil.NoSuchProcess:
            return []
        return [process for process in found if process.is_running()]

    def signal(self, number):
        os.kill(self.pid, number)

    def signal_all(self, number):
        """Signal the parent and its pool."""
        os.killpg(self.pid, number)


class Fleet:
    """All workers of a run, forked from one nursery; a context manager that leaves none behind.

    Args:
        system: what to run.
        url: the broker's.
        folder: for logs.
        journal: where workers say that they are ready; see journal.py.
        env: variables for all workers.
        concurrency: pool processes of each.
    """

    def __init__(self, system, url, folder, journal, *, env=None, concurrency=2):
        self._folder = Path(folder)
        self._journal = journal
        self._concurrency = concurrency
        self._changed = threading.Condition()
        self._born = []
        self.workers = []
        self.gone = []
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")])),
            "HANNER_BROKER_URL": url,
            "CHAOS_JOURNAL": str(journal.path),
            "STOCK_MODEL": "chaos.stub",
            "PYTHONUNBUFFERED": "1",
            **(env or {}),
        }
        with (self._folder / "nursery.log").open("wb") as log:
            self._nursery = subprocess.Popen(
                [system.python, "-m", "chaos.nursery", *system.imports],
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
        for line in self._nursery.stdout:
            what, *values = line.decode().split()
            with self._changed:
                if what == "started":
                    self._born.append(int(values[0]))
                elif what == "ended":
                    for worker in [*self.workers, *self.gone]:
                        if worker.pid == int(values[0]) and worker.status is None:
                            worker.status = int(values[1])
                            break
                    else:
                        self._born.append((int(values[0]), int(values[1])))
                self._changed.notify_all()

    def start(self, *options):
        """Start one worker; `wait_ready` says when it works."""
        name = f"w{len(self.workers) + len(self.gone)}"
        log = self._folder / f"{name}.log"
        arguments = ["-A", self._app, "worker", "-c", str(self._concurrency), "-l", "INFO", "-n", f"{name}@%h"]
        with self._changed:
            count = len(self._born)
            line = "\t".join(["start", str(log), *arguments, *options])
            self._nursery.stdin.write(f"{line}\n".encode())
            self._nursery.stdin.flush()
            assert self._changed.wait_for(lambda: len(self._born) > count, PATIENCE), "the nursery does not answer"
            worker = Worker(self._born[-1], name, log)
            self.workers.append(worker)
        return worker

    def wait_ready(self, worker, timeout=PATIENCE):
        """Wait until a worker consumes."""
        if not self._journal.wait_for(
            lambda journal: worker.pid in journal.ready or worker.status is not None, timeout
        ):
            raise TimeoutError(f"{worker.name} is not ready:\n{processes.last_lines(worker.log)}")
        if worker.status is not None:
            raise RuntimeError(f"{worker.name} ended at once:\n{processes.last_lines(worker.log, 40)}")

    def ready(self):
        """Return the workers that consume."""
        return [w for w in self.workers if w.status is None and w.pid in self._journal.ready]

    def leave(self, worker):
        """Move a worker that has been killed or told to end out of those that count."""
        self.workers.remove(worker)
        self.gone.append(worker)

    def wait_end(self, worker, timeout=PATIENCE):
        """Wait for a worker's end; return its exit status."""
        with self._changed:
            if not self._changed.wait_for(lambda: worker.status is not None, timeout):
                raise TimeoutError(f"{worker.name} does not end:\n{processes.last_lines(worker.log)}")
        return worker.status

    def died(self):
        """Return those that ended though nobody meant them to."""
        return [worker for worker in self.workers if worker.status is not None]

    def close(self):
        """End all at once, and see that none is left."""
        for worker in [*self.workers, *self.gone]:
            try:
                worker.signal_all(signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        self._nursery.stdin.close()
        self._nursery.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self._nursery.stdout.close()
