"""Reconciles Flower with Redis: events may be lost, results are not. Pure: the caller reads the results.

Events are lost when a worker is killed, or when Flower is down or too slow. For tasks without an event for a while, the
result is read from Redis, and the missed event is made from it.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from celery import states

OVERDUE_AFTER = 10.0
"""Seconds without an event of an unfinished task, after which its result is read."""
MAX_READ = 2000
"""Results that are read in one round."""
EVENT_TYPES = {states.SUCCESS: "task-succeeded", states.FAILURE: "task-failed", states.REVOKED: "task-revoked"}

ReadResults = Callable[[Sequence[str]], Sequence[bytes | None]]


class OverdueTask(NamedTuple):
    """A task without an event for too long: its id, its worker's name, and Celery's logical clock."""

    id: str
    worker: str
    clock: int


class Reconciler:
    """Finds tasks that have ended without an event.

    Args:
        read_results: Returns the stored results of task ids, None for each that has no result.
    """

    def __init__(self, read_results: ReadResults) -> None:
        self._read_results = read_results
        self._last_id = ""

    def overdue(self, tasks: Iterable[tuple[str, Any]], now: float) -> list[OverdueTask]:
        """Return at most MAX_READ unfinished tasks without an event for OVERDUE_AFTER.

        Each round starts after the last task of the previous round, so that many waiting tasks do not hide others.

        Args:
            tasks: Task ids and Celery's task objects, oldest first.
            now: Unix seconds.
        """
        before = now - OVERDUE_AFTER
        found = [
            OverdueTask(task_id, task.worker.hostname, task.clock)
            for task_id, task in tasks
            if task.state not in states.READY_STATES and task.worker is not None and (task.timestamp or 0) < before
        ]
        start = next((n + 1 for n, task in enumerate(found) if task.id == self._last_id), 0)
        chosen = (found[start:] + found[:start])[:MAX_READ]
        self._last_id = chosen[-1].id if chosen else ""
        return chosen

    def missed_events(self, overdue: Sequence[OverdueTask]) -> list[dict[str, Any]]:
        """Return an event for each overdue task that has ended.

        Raises:
            RedisError: Redis is unreachable.
        """
        if not overdue:
            return []
        results = self._read_results([task.id for task in overdue])
        pairs = zip(overdue, results, strict=True)
        return [event for task, result in pairs if result is not None and (event := _event(task, result)) is not None]


def _event(task: OverdueTask, stored: bytes) -> dict[str, Any] | None:
    """Return the event of a stored result, or None if the task has not ended."""
    try:
        meta = json.loads(stored)
        kind, done_at = EVENT_TYPES[meta["status"]], datetime.fromisoformat(meta["date_done"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return None
    event = {"type": kind, "uuid": task.id, "hostname": task.worker, "timestamp": done_at, "local_received": None}
    return event | {"clock": task.clock + 1} | _describe_result(kind, meta.get("result"))


def _describe_result(kind: str, result: Any) -> dict[str, Any]:
    """Return the event's fields for the result, without any text."""
    if kind == "task-failed":
        error = result if isinstance(result, Mapping) else {}
        arguments = ", ".join(map(repr, error.get("exc_message") or ()))
        return {"exception": f"{error.get('exc_type', 'an error')}({arguments})", "traceback": ""}
    if kind == "task-revoked":
        return {}
    documents = result.get("documents", [result]) if isinstance(result, Mapping) else []
    count = sum(len(each.get("entities", ())) for each in documents if isinstance(each, Mapping))
    return {"result": f"<{count} entities, read from Redis: the worker's event was lost>"}
