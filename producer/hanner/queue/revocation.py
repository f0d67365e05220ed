"""Revokes requests in Redis: their results are REVOKED at once, and the first end of a request is kept.

Celery's workers each store the result of a revoked task, also over an earlier one. The schema is in keys.py.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from redis import Redis

from hanner.queue.keys import QueueKeys, as_text, batched, result_key
from hanner.utils.json import dumps
from hanner.utils.lua import load_script

REVOKE: Final = load_script("hanner.queue", "final", "revoke")


class Revocation(StrEnum):
    """The effect of revoking a request."""

    REVOKED = "REVOKED"
    """Its result is that it was revoked."""
    ENDED = "ENDED"
    """It had a result, which is kept."""
    RUNNING = "RUNNING"
    """A process works on it; its result follows."""
    UNKNOWN = "UNKNOWN"
    """It is not scheduled, and only scheduled requests were to be revoked."""


def revoke(
    redis: Redis, queues: Collection[str], task_ids: Sequence[str], *, expires: float, scheduled_only: bool = False
) -> list[Revocation]:
    """Revoke requests; return the effect on each. Errors of redis-py pass through.

    Args:
        redis: A client of the queues' Redis.
        queues: Names of the queues that the requests may be in.
        task_ids: Their ids.
        expires: Seconds after which the results expire; 0 is never.
        scheduled_only: Revoke only requests that are known to be hanner's, because they are scheduled.
    """
    names = [QueueKeys(queue) for queue in sorted(queues)]
    queue_keys = [key for name in names for key in (name.leases, name.scheduled)]
    options = [
        len(names),
        int(expires),
        "scheduled" if scheduled_only else "any",
        *(name.running("") for name in names),
    ]
    done = datetime.now(UTC).isoformat()
    outcomes: list[Revocation] = []
    for ids in batched(task_ids):
        keys = [*queue_keys, *map(result_key, ids)]
        args: list[Any] = [*options, *(part for task_id in ids for part in (task_id, _result(task_id, done)))]
        outcomes += [Revocation(as_text(outcome)) for outcome in REVOKE(keys, args, redis)]
    return outcomes


def _result(task_id: str, done: str) -> bytes:
    """Return the result of a revoked request as Celery stores it."""
    error = {"exc_type": "TaskRevokedError", "exc_message": ["revoked"], "exc_module": "celery.exceptions"}
    return dumps(
        {
            "status": "REVOKED",
            "result": error,
            "traceback": None,
            "children": [],
            "date_done": done,
            "task_id": task_id,
        }
    )
