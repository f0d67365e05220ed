"""Events get lost: when a worker is killed, when Flower was away or too slow. Results do not: this module reads them.

For requests that Flower has heard nothing of for a while, it looks into Redis whether they have ended, and tells Flower
so as if it had heard.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from celery import states

PATIENCE = 10.0
"""Seconds without a word of a request, after which its result is looked for."""
MOST = 2000
"""Results that are read in one round."""
ENDS = {states.SUCCESS: "task-succeeded", states.FAILURE: "task-failed", states.REVOKED: "task-revoked"}

Read = Callable[[Sequence[str]], Sequence[bytes | None]]


class Mender:
    """Finds the ends that Flower has missed.

    Args:
        read: Returns what is stored as the results of task ids, None where there is nothing.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._last = ""

    def silent(self, tasks: Iterable[tuple[str, Any]], now: float) -> list[tuple[str, str, int]]:
        """Return id, worker and logical clock of up to MOST unfinished tasks that were not heard of for PATIENCE.

        Each round goes on behind the last one of the round before, so that many that really wait hide no other.

        Args:
            tasks: Task ids and Celery's accounts of them, oldest first.
            now: Unix seconds.
        """
        before = now - PATIENCE
        open_ = [(i, task) for i, task in tasks if task.state not in states.READY_STATES and task.worker is not None]
        found = [(i, task.worker.hostname, task.clock) for i, task in open_ if (task.timestamp or 0) < before]
        start = next((n + 1 for n, (task_id, *_) in enumerate(found) if task_id == self._last), 0)
        chosen = (found[start:] + found[:start])[:MOST]
        self._last = chosen[-1][0] if chosen else ""
        return chosen

    def ends(self, silent: Sequence[tuple[str, str, int]]) -> list[dict[str, Any]]:
        """Return an event for each of `silent` that has ended.

        Raises:
            RedisError: Redis is away.
        """
        if not silent:
            return []
        results = self._read([task_id for task_id, *_ in silent])
        pairs = zip(silent, results, strict=True)
        return [end for task, result in pairs if result is not None and (end := _end(*task, result)) is not None]


def _end(task_id: str, worker: str, clock: int, stored: bytes) -> dict[str, Any] | None:
    """Make the event that was not heard out of what is stored; None if that is no end."""
    try:
        meta = json.loads(stored)
        kind, done = ENDS[meta["status"]], datetime.fromisoformat(meta["date_done"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return None
    event = {"type": kind, "uuid": task_id, "hostname": worker, "timestamp": done, "local_received": None}
    return event | {"clock": clock + 1} | _told(kind, meta.get("result"))


def _told(kind: str, result: Any) -> dict[str, Any]:
    """Return what the event says of the result: never a word of the text."""
    if kind == "task-failed":
        error = result if isinstance(result, Mapping) else {}
        said = ", ".join(map(repr, error.get("exc_message") or ()))
        return {"exception": f"{error.get('exc_type', 'an error')}({said})", "traceback": ""}
    if kind == "task-revoked":
        return {}
    documents = result.get("documents", [result]) if isinstance(result, Mapping) else []
    entities = sum(len(each.get("entities", ())) for each in documents if isinstance(each, Mapping))
    return {"result": f"<{entities} entities, read from Redis: the worker's own word was lost>"}
