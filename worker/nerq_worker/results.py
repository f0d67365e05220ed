"""Results into Redis, as Celery's own backend would write them, a whole batch in one round trip."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from celery import states
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0, 2.0)
"""Seconds between tries: a Redis that restarts is back within them."""


class NotStored(Exception):  # noqa: N818 - named for what happened, as nerq's errors are
    """Redis took none of the results in time; the requests must not be acknowledged."""


@dataclass(frozen=True, slots=True)
class Record:
    """The end of one request.

    Attributes:
        task_id: the request.
        result: a JSON value, or the exception that it failed with.
        group: id of the group it belongs to.
        parent: id of the request that sent it.
    """

    task_id: str
    result: Any
    group: str | None = None
    parent: str | None = None

    @property
    def state(self) -> str:
        """Celery's name of how it ended."""
        return str(states.FAILURE if isinstance(self.result, BaseException) else states.SUCCESS)


class ResultStore:
    """Writes results next to a Celery app's own.

    Args:
        backend: the app's Redis backend: its keys, encoding, expiry and connection are used.
        sleep: waits between tries.
    """

    def __init__(self, backend: Any, sleep: Callable[[float], None] = time.sleep) -> None:
        self._backend = backend
        self._sleep = sleep

    def store(self, records: Sequence[Record]) -> None:
        """Store all records and tell those who wait; written twice they are the same, so a try may be repeated.

        Raises:
            NotStored: Redis refused, or was away for longer than all PAUSES together.
        """
        if not records:
            return
        done = self._backend.app.now().isoformat()
        rows = [self._row(record, done) for record in records]
        for pause in (*PAUSES, None):
            try:
                self._write(rows)
            except (RedisError, OSError) as error:
                if pause is None:
                    raise NotStored(f"{len(records)} results could not be stored: {type(error).__name__}") from error
                logger.warning("Redis took no results (%s); trying again in %s s", type(error).__name__, pause)
                self._sleep(pause)
            else:
                return

    def _row(self, record: Record, done: str) -> tuple[bytes, Any, int | None]:
        backend = self._backend
        payload = backend.encode(
            {
                "status": record.state,
                "result": backend.encode_result(record.result, record.state),
                "traceback": None,  # it would show lines of this code to the caller, and mean nothing there
                "children": [],
                "date_done": done,
                **({"group_id": record.group} if record.group else {}),
                **({"parent_id": record.parent} if record.parent else {}),
                "task_id": record.task_id,
            }
        )
        failed = record.state == states.FAILURE
        return backend.get_key_for_task(record.task_id), payload, backend.failure_expires if failed else backend.expires

    def _write(self, rows: Sequence[tuple[bytes, Any, int | None]]) -> None:
        # No MULTI: each result stands for itself, and a cut connection means that all are written again.
        with self._backend.client.pipeline(transaction=False) as pipe:
            for key, payload, expires in rows:
                pipe.set(key, payload, ex=expires or None)
                pipe.publish(key, payload)
            pipe.execute()
