"""A Redis and one worker of a system for one measurement, with their CPU times and Redis commands."""

import contextlib
import os
import subprocess
import tempfile
import threading
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
"""A queue that no worker consumes; its messages are moved to the worker's queue when the measurement starts."""
RESULTS_TIMEOUT = 120.0
IGNORED_COMMANDS = (
    "psubscribe",
    "info",
    "dbsize",
    "scan",
    "config|resetstat",
    "rename",
    "keys",
    "type",
    "multi",
    "exec",
)
"""Commands that this module sends itself."""


@dataclass(frozen=True)
class CpuTimes:
    """CPU seconds so far by process."""

    parent: float
    child: float
    redis: float

    def since(self, before):
        return CpuTimes(self.parent - before.parent, self.child - before.child, self.redis - before.redis)


class EventListener:
    """A client that receives all events and discards them, in a thread."""

    def __init__(self):
        self._stopping = threading.Event()

    def start(self, url):
        """Subscribe; return when Redis has confirmed it."""
        self._client = redis.Redis.from_url(url)
        self._subscriber = self._client.pubsub()
        self._subscriber.psubscribe("*celeryev*")
        if self._subscriber.get_message(timeout=RESULTS_TIMEOUT) is None:
            raise TimeoutError("Redis did not confirm the subscription to events")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stopping.is_set():
            self._subscriber.get_message(timeout=0.2)

    def stop(self):
        """End the thread, and disconnect."""
        self._stopping.set()
        self._thread.join()
        self._subscriber.close()
        self._client.close()


class WorkerStack:
    """An embedded Redis and a worker, as a context manager.

    Args:
        system: the system whose worker runs, see support/systems.py.
        events: whether the worker sends events, as for Flower.
        listener: whether a client receives the events.
        processes: number of pool processes.
    """

    def __init__(self, system, *, events, listener, processes):
        self._system, self._events, self._processes = system, events, processes
        self._listener = EventListener() if events and listener else None

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
        if self._listener is not None:
            self._listener.start(self.url)
        return self

    def __exit__(self, *_):
        processes.stop(self._worker, timeout=15.0)
        if self._listener is not None:
            self._listener.stop()
        self.client.close()
        self._server.close()
        self._folder.cleanup()

    def cpu_times(self):
        """Return the CPU times of worker and Redis so far."""
        pool = self._parent.children()
        return CpuTimes(cpu_seconds(self._parent), sum(map(cpu_seconds, pool)), cpu_seconds(self._redis))

    def waiting_lists(self):
        """Return the non-empty lists of the queue WAITING, and the corresponding lists of the worker's queue."""
        names = [name for name in self.client.keys(f"{WAITING}*") if self.client.type(name) == b"list"]
        return {name: name.replace(WAITING.encode(), b"hanner", 1) for name in names}

    def release(self):
        """Move all waiting messages to the worker's queue atomically."""
        with self.client.pipeline(transaction=True) as pipeline:
            for name, queue in self.waiting_lists().items():
                pipeline.rename(name, queue)
            pipeline.execute()

    def take_messages(self):
        """Remove the waiting messages; return the worker's list for them, and the messages in the order of sending."""
        ((name, queue),) = self.waiting_lists().items()
        messages = self.client.lrange(name, 0, -1)
        self.client.delete(name)
        return queue, messages[::-1]

    def count_results(self):
        """Return the number of results; scans all keys."""
        return sum(1 for _ in self.client.scan_iter(RESULTS, count=5000))

    def wait_for_results(self, count):
        """Wait for `count` results; return the time at which they were complete."""
        deadline = time.perf_counter() + RESULTS_TIMEOUT
        while True:
            now = time.perf_counter()
            if self.client.dbsize() >= count and self.count_results() >= count:
                return now
            if now > deadline or self._worker.poll() is not None:
                raise TimeoutError(f"{self.count_results()} of {count} results:\n{processes.last_lines(self.log, 30)}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._worker.wait(0.01)

    def commands(self):
        """Return calls by command since the last `CONFIG RESETSTAT`, and the number of reads from connections."""
        stats = self.client.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): figures["calls"] for name, figures in stats.items()}
        reads = self.client.info("stats")["total_reads_processed"]
        return {name: number for name, number in calls.items() if name not in IGNORED_COMMANDS}, reads


def cpu_seconds(process):
    """Return the CPU seconds of a process so far."""
    times = process.cpu_times()
    return times.user + times.system
