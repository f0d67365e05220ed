"""Prometheus gauges of a queue. Needs prometheus_client; reads nothing itself, the caller passes in a Backlog.

Every worker and every gateway exports the same gauges, so that some source is always up. Aggregate them with `max`.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from hanner.queue.stats import Backlog

HELP: Final = {
    "hanner_queue_up": "Whether Redis answered this scrape (1) or not (0); if not, the other gauges are absent.",
    "hanner_queue_depth": "Waiting requests; in-flight requests are not included.",
    "hanner_queue_limit": "HANNER_MAX_QUEUE: maximum number of waiting requests of each priority; 0 is no limit.",
    "hanner_queue_oldest_age_seconds": "Age of the oldest waiting request; 0 if none waits, absent if its send time "
    "is unknown.",
    "hanner_queue_unacked": "Requests that workers have fetched and not acknowledged.",
    "hanner_queue_scheduled": "Requests that wait for their ETA or countdown; the depth does not include them.",
    "hanner_queue_scheduled_due_seconds": "Seconds until the next scheduled request is due; 0 if it is due, absent if "
    "none is scheduled.",
    "hanner_queue_dead_letters": "Dead letters.",
    "hanner_queue_work_seconds": "Seconds that one worker needs for all requests without a result; independent of the "
    "number of workers.",
    "hanner_queue_workers": "Workers with a valid lease.",
    "hanner_queue_workers_busy": "Number of workers that interactive requests kept busy in the last seconds.",
}

BY_PRIORITY: Final = ("hanner_queue_depth", "hanner_queue_oldest_age_seconds", "hanner_queue_work_seconds")


def queue_metrics(queue: str, limit: int, backlogs: Mapping[str, Backlog | None]) -> Iterator[Metric]:
    """Yield the gauges of one queue.

    Args:
        queue: Its name.
        limit: HANNER_MAX_QUEUE.
        backlogs: Its state by address of Redis, which is the label `broker`; None if Redis did not answer. If there is
            one address, it is "", and the gauges have no such label.
    """
    values = {broker: _values(limit, backlog) for broker, backlog in backlogs.items()}
    for name, help_text in HELP.items():
        by_priority = name in BY_PRIORITY
        by_broker = "" not in backlogs
        names = ["queue", *["priority"] * by_priority, *["broker"] * by_broker]
        family = GaugeMetricFamily(name, help_text, labels=names)
        for broker, gauges in values.items():
            for priority, value in gauges.get(name, {}).items():
                if value is not None:
                    family.add_metric([queue, *[priority] * by_priority, *[broker] * by_broker], value)
        yield family


def _values(limit: int, backlog: Backlog | None) -> dict[str, dict[str, float | None]]:
    """Return the gauges of a queue at one address: name -> priority, or "" -> value."""
    up: dict[str, dict[str, float | None]] = {
        "hanner_queue_up": {"": float(backlog is not None)},
        "hanner_queue_limit": {"": float(limit)},
    }
    if backlog is None:
        return up
    depths = {"interactive": backlog.depth - backlog.bulk, "bulk": backlog.bulk}
    ages = {"interactive": backlog.interactive_oldest_seconds, "bulk": backlog.bulk_oldest_seconds}
    return up | {
        "hanner_queue_depth": {**depths},
        "hanner_queue_oldest_age_seconds": {name: ages[name] if depth else 0.0 for name, depth in depths.items()},
        "hanner_queue_unacked": {"": backlog.unacked},
        "hanner_queue_scheduled": {"": backlog.scheduled},
        "hanner_queue_scheduled_due_seconds": {"": backlog.scheduled_seconds},
        "hanner_queue_dead_letters": {"": backlog.dead},
        "hanner_queue_work_seconds": {"interactive": backlog.work_seconds, "bulk": backlog.bulk_work_seconds},
        "hanner_queue_workers": {"": len(backlog.workers)},
        "hanner_queue_workers_busy": {"": backlog.busy_workers},
    }
