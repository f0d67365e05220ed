"""The queue as Prometheus sees it: gauges that are read from Redis at every scrape. Needs prometheus_client.

Every worker and every gateway tells the same of a queue, so that it is known whoever is down: take their `max`.
"""

from collections.abc import Iterator
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from hanner.queue.stats import Backlog

HELP: Final = {
    "hanner_queue_up": "Whether Redis answered this scrape (1) or not (0); then it tells nothing else of the queue.",
    "hanner_queue_depth": "Requests that wait; those that workers hold are not among them.",
    "hanner_queue_limit": "HANNER_MAX_QUEUE: most requests of each priority that may wait; 0 is no limit.",
    "hanner_queue_oldest_age_seconds": "Age of the oldest waiting request; 0 when none waits, absent when its sender "
    "did not say when it sent.",
    "hanner_queue_unacked": "Requests that workers hold and have not answered yet.",
    "hanner_queue_dead_letters": "Dead letters that are kept.",
    "hanner_queue_workers": "Workers whose lease holds.",
}

BY_PRIORITY: Final = ("hanner_queue_depth", "hanner_queue_oldest_age_seconds")


def families(queue: str, limit: int, backlog: Backlog | None) -> Iterator[Metric]:
    """Yield the gauges of one queue.

    Args:
        queue: Its name.
        limit: HANNER_MAX_QUEUE.
        backlog: What is in it; None when Redis did not answer.
    """
    values: dict[str, dict[str, float | None]] = {
        "hanner_queue_up": {"": float(backlog is not None)},
        "hanner_queue_limit": {"": float(limit)},
    }
    if backlog is not None:
        depths = {"interactive": backlog.depth - backlog.bulk, "bulk": backlog.bulk}
        ages = {"interactive": backlog.interactive_oldest_seconds, "bulk": backlog.bulk_oldest_seconds}
        values |= {
            "hanner_queue_depth": {**depths},
            "hanner_queue_oldest_age_seconds": {name: ages[name] if depth else 0.0 for name, depth in depths.items()},
            "hanner_queue_unacked": {"": backlog.unacked},
            "hanner_queue_dead_letters": {"": backlog.dead},
            "hanner_queue_workers": {"": len(backlog.workers)},
        }
    for name, told in HELP.items():
        by_priority = name in BY_PRIORITY
        family = GaugeMetricFamily(name, told, labels=["queue", "priority"] if by_priority else ["queue"])
        for priority, value in values.get(name, {}).items():
            if value is not None:
                family.add_metric([queue, priority] if by_priority else [queue], value)
        yield family
