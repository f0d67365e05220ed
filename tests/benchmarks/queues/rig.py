"""A Redis and one worker of a system, for one measurement: what they did and what it cost."""

import contextlib
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import redis

from hanner.cli.local_redis import EmbeddedServer
from hanner.utils import processes

TESTS = Path(__file__).parents[2]
RESULTS = "celery-task-meta-*"
WAITING = "waiting"
"""A queue that no worker consumes: what is sent there is handed to one at a moment of our choosing."""
PATIENCE = 120.0
OWN = ("info", "dbsize", "scan", "config|resetstat", "rename", "keys", "type", "multi", "exec")
"""Commands of this module's own, besides what workers ask."""


@dataclass(frozen=True)
class Costs:
    """Processor time so far, in seconds, by who spent it."""

    parent: float
    child: float
    redis: float

    def since(self, before):
        return Costs(self.parent - before.parent, self.child - before.child, self.redis - before.redis)


class Rig:
    """Runs an embedded Redis and a worker; a context manager that leaves none behind.

    Args:
        system: which worker; see support/systems.py.
        events: whether it sends events, as for Flower.
        processes: of its pool.
    """

    def __init__(self, system, *, events, processes):
        self._system, self._events, self._processes = system, events, processes

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="hanner-bench-")
        self._server = EmbeddedServer().start()
        self.url = self._server.url
        self.client = redis.Redis.from_url(self.url)
        self.log = Path(self._folder.name) / "worker.log"
        command = [self._system.python, "-m", "celery", "-A", self._system.app, "worker", "-l", "WARNING"]
        environment = os.environ | {
            "PYTHONPATH": str(TESTS),
            "HANNER_BROKER_URL": self.url,
            "HANNER_MAX_QUEUE": "0",
            "STOCK_MODEL": "benchmarks.queues.noop",
            "BENCH_EVENTS": str(int(self._events)),
        }
        with self.log.open("wb") as log:
            options = ["-c", str(self._processes), *(["-E"] if self._events else [])]
            self._worker = processes.start([*command, *options], output=log, env=environment, folder=TESTS)
        self._parent = psutil.Process(self._worker.pid)
        self._redis = psutil.Process(self._server.process.pid)
        return self

    def __exit__(self, *_):
        processes.stop(self._worker, timeout=15.0)
        self.client.close()
        self._server.close()
        self._folder.cleanup()

    def costs(self):
        """Return what the worker and Redis have spent so far."""
        pool = self._parent.children()
        return Costs(spent(self._parent), sum(map(spent, pool)), spent(self._redis))

    def lists(self):
        """Return the lists that a client has filled in the queue WAITING, and where each would be in the worker's."""
        found = [name for name in self.client.keys(f"{WAITING}*") if self.client.type(name) == b"list"]
        return {name: name.replace(WAITING.encode(), b"hanner", 1) for name in found}

    def release(self):
        """Let the worker have all that waits, at once."""
        with self.client.pipeline(transaction=True) as pipeline:
            for name, queue in self.lists().items():
                pipeline.rename(name, queue)
            pipeline.execute()

    def take(self):
        """Remove what waits; return the worker's list that it is for, and it, in the order in which it was sent."""
        ((name, queue),) = self.lists().items()
        messages = self.client.lrange(name, 0, -1)
        self.client.delete(name)
        return queue, messages[::-1]

    def answered(self):
        """Return how many results there are; reads every key."""
        return sum(1 for _ in self.client.scan_iter(RESULTS, count=5000))

    def wait_answered(self, count):
        """Wait until there are so many results; return the moment."""
        until = time.perf_counter() + PATIENCE
        while True:
            moment = time.perf_counter()
            if self.client.dbsize() >= count and self.answered() >= count:
                return moment
            if moment > until or self._worker.poll() is not None:
                raise TimeoutError(f"{self.answered()} of {count} answered:\n{processes.last_lines(self.log, 30)}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._worker.wait(0.01)

    def commands(self):
        """Return calls by command since the last `CONFIG RESETSTAT`, and how often Redis read from a connection."""
        stats = self.client.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): figures["calls"] for name, figures in stats.items()}
        reads = self.client.info("stats")["total_reads_processed"]
        return {name: number for name, number in calls.items() if name not in OWN}, reads


def spent(process):
    """Return the processor seconds of one process so far."""
    times = process.cpu_times()
    return times.user + times.system
