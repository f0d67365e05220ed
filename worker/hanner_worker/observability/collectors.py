"""What is looked up when Prometheus asks: the queue, in Redis; the worker's processes, here."""

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
    """Reads the queue's state at every scrape.

    Args:
        connect: makes a client of Redis, when it is first needed; it may be shared by threads.
        queue: the queue's name.
        limit: HANNER_MAX_QUEUE.
    """

    def __init__(self, connect: Callable[[], Any], queue: str, limit: int) -> None:
        self._connect = connect
        self._queue = queue
        self._limit = limit
        self._client: Any = None

    def collect(self) -> Iterator[Metric]:
        """Yield the queue's gauges."""
        yield from queue_metrics(self._queue, self._limit, self._read())

    def _read(self) -> Backlog | None:
        try:
            if self._client is None:
                self._client = self._connect()
            return read_backlog(self._client, self._queue)
        except (RedisError, OSError) as error:
            logger.info("the queue could not be looked at for Prometheus: %s", type(error).__name__)
            return None


class PoolCollector(Collector):
    """Reads how the worker's processes do.

    Args:
        consumer: Celery's consumer, which has the pool and, once it runs, the dispatcher.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def collect(self) -> Iterator[Metric]:
        """Yield gauges; all are read without locks, for they are single numbers."""
        dispatcher = getattr(self._consumer, "hanner_dispatcher", None)
        waiting, busy, at_hand = (
            (dispatcher.waiting, dispatcher.flying, dispatcher.at_hand) if dispatcher is not None else (0, 0, 0)
        )
        yield _gauge("processes", "Pool processes.", self._consumer.pool.num_processes)
        yield _gauge("processes_busy", "Pool processes that work on a batch.", busy)
        yield _gauge("requests_waiting", "Requests that this worker holds and that wait for their batch.", waiting)
        yield _gauge("requests_running", "Requests that a process works on.", max(0, at_hand - waiting))
        memory = _memory([process.pid for process in self._consumer.pool._pool._pool])  # noqa: SLF001 - nowhere else
        if memory is not None:
            told = "Memory of the worker and all its pool processes; what they share is counted once."
            yield _gauge("memory_bytes", told, memory)


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(f"hanner_worker_{name}", told, value)


def _memory(children: list[int]) -> int | None:
    """Return the sum of proportional set sizes, in bytes; None where the system does not tell: only Linux does."""
    total = 0
    for name in ("self", *map(str, children)):
        try:
            lines = Path(f"/proc/{name}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        except ProcessLookupError:
            continue  # it has just died
        except (OSError, StopIteration):
            if name == "self":
                return None
    return total
