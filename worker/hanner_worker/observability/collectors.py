"""Metrics that are read at every scrape: the state of the queue, from Redis, and of the worker's processes.

Reads Redis, /proc and Celery's pool.
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from hanner.queue.metrics import queue_metrics
from hanner.queue.stats import Backlog, read_backlog

logger = logging.getLogger(__name__)


class QueueCollector(Collector):
    """Reads the state of the queue.

    Args:
        connect: returns a Redis client on first use; threads may share it.
        queue: name of the queue.
        limit: HANNER_MAX_QUEUE.
        broker: the address of Redis, if the worker serves several; empty if not.
    """

    def __init__(self, connect: Callable[[], Any], queue: str, limit: int, broker: str = "") -> None:
        self._connect = connect
        self._queue = queue
        self._limit = limit
        self._broker = broker
        self._client: Any = None

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges of the queue."""
        yield from queue_metrics(self._queue, self._limit, {self._broker: self._read()})

    def _read(self) -> Backlog | None:
        try:
            if self._client is None:
                self._client = self._connect()
            return read_backlog(self._client, self._queue)
        except (RedisError, OSError) as error:
            logger.info("the state of the queue could not be read for Prometheus: %s", type(error).__name__)
            return None


class PoolCollector(Collector):
    """Reads the state of the worker's processes.

    Args:
        consumer: Celery's consumer, which has the pool and, once it runs, the dispatcher.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges of the pool. No locks are needed, because all values are single numbers."""
        dispatcher = getattr(self._consumer, "hanner_dispatcher", None)
        waiting, busy, requests = (
            (dispatcher.queued, dispatcher.running_batches, dispatcher.requests)
            if dispatcher is not None
            else (0, 0, 0)
        )
        yield _gauge("processes", "Pool processes.", self._consumer.pool.num_processes)
        yield _gauge("processes_busy", "Pool processes that are running a batch.", busy)
        yield _gauge("requests_waiting", "Requests in this worker that are waiting for a batch.", waiting)
        yield _gauge("requests_running", "Requests in the batches that are running.", max(0, requests - waiting))
        memory = _memory([process.pid for process in self._consumer.pool._pool._pool])  # noqa: SLF001 - no public name
        if memory is not None:
            help_text = "Memory of the worker and all its pool processes; shared memory is counted once."
            yield _gauge("memory_bytes", help_text, memory)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"hanner_worker_{name}", help_text, value)


def _memory(children: list[int]) -> int | None:
    """Return the sum of the proportional set sizes, in bytes; None if the system does not provide them (Linux only)."""
    total = 0
    for name in ("self", *map(str, children)):
        try:
            lines = Path(f"/proc/{name}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        except ProcessLookupError:
            continue  # it has just exited
        except (OSError, StopIteration):
            if name == "self":
                return None
    return total
