"""Results into Redis, as Celery's own backend would write them: a whole batch in one step that also acknowledges it."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from celery import states
from redis.exceptions import RedisError

from hanner.utils.json import dumps
from hanner_worker.delivery.inflight import End, InFlightStore

logger = logging.getLogger(__name__)

PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0, 2.0)
"""Seconds between tries: a Redis that restarts is back within them."""


class NotStored(Exception):  # noqa: N818 - named for what happened, as hanner's errors are
    """Redis took none of the results in time; the requests must not be acknowledged."""


class Standing(Enum):
    """Where a request stands when its process begins."""

    HELD = auto()
    LOST = auto()
    """Another worker took it over; nothing may be said about it."""
    ANSWERED = auto()
    """Its result is stored already."""
    FAILED = auto()
    """Its failure or revocation is stored already."""
    UNREADY = auto()
    """Held, and what is stored for it is no answer."""


@dataclass(frozen=True, slots=True)
class Record:
    """The end of one request.

    Attributes:
        task_id: the request.
        result: a JSON value, or the exception that it failed with.
        tag: the message it came in.
        group: id of the group it belongs to.
        parent: id of the request that sent it.
        stored: its result is wanted; else it is only acknowledged.
        overwrite: what is stored for it so far is no answer.
        letter: its dead letter but for the message, if it is to be set aside.
    """

    task_id: str
    result: Any = None
    tag: str = ""
    group: str | None = None
    parent: str | None = None
    stored: bool = True
    overwrite: bool = False
    letter: Mapping[str, Any] | None = None

    @property
    def state(self) -> str:
        """Celery's name of how it ended."""
        return str(states.FAILURE if isinstance(self.result, BaseException) else states.SUCCESS)


class ResultStore:
    """Writes results next to a Celery app's own, and acknowledges their messages in the same step.

    Args:
        backend: the app's Redis backend: its keys, encoding, expiry and connection are used.
        ledger: what the worker holds.
        sleep: waits between tries.
        told: is told of those records that were still held, once they are stored.
    """

    def __init__(
        self,
        backend: Any,
        ledger: InFlightStore,
        sleep: Callable[[float], None] = time.sleep,
        told: Callable[[Sequence[Record]], None] | None = None,
    ) -> None:
        self._backend = backend
        self._ledger = ledger
        self._sleep = sleep
        self._told = told

    def begin(self, tags: Sequence[str], task_ids: Sequence[str]) -> list[Standing]:
        """Note that a process works on messages now, and tell where each stands.

        If Redis is away all stand as held: `store` finds out.
        """
        backend = self._backend
        results = [backend.get_key_for_task(task_id) for task_id in task_ids]
        try:
            replies = self._ledger.begin(backend.client, tags, task_ids, results)
        except (RedisError, OSError) as error:
            logger.warning("Redis was not told that a batch begins: %s", type(error).__name__)
            return [Standing.HELD] * len(tags)
        return [self._standing(reply) for reply in replies]

    def _standing(self, reply: Any) -> Standing:
        if isinstance(reply, bool):
            return Standing.HELD if reply else Standing.LOST
        try:
            status = self._backend.decode(reply).get("status")
        except Exception:  # noqa: BLE001 - whatever lies there is not Celery's
            return Standing.UNREADY
        if status == states.SUCCESS:
            return Standing.ANSWERED
        return Standing.FAILED if status in states.READY_STATES else Standing.UNREADY

    def store(self, records: Sequence[Record]) -> list[bool]:
        """End all requests and tell those who wait; done twice it is the same, so a try may be repeated.

        Returns:
            For each: whether the worker still held it. If not, nothing was stored.

        Raises:
            NotStored: Redis refused, or was away for longer than all PAUSES together.
        """
        if not records:
            return []
        done = self._backend.app.now().isoformat()
        ends = [self._end(record, done) for record in records]
        for pause in (*PAUSES, None):
            try:
                still = self._ledger.finish(self._backend.client, ends)
            except (RedisError, OSError) as error:
                if pause is None:
                    raise NotStored(f"{len(records)} results could not be stored: {type(error).__name__}") from error
                logger.warning("Redis took no results (%s); trying again in %s s", type(error).__name__, pause)
                self._sleep(pause)
            else:
                if self._told is not None:
                    self._told([record for record, held in zip(records, still, strict=True) if held])
                return still
        raise AssertionError  # the last pause is None

    def _end(self, record: Record, done: str) -> End:
        backend = self._backend
        key = backend.get_key_for_task(record.task_id)
        if not record.stored:
            return End(record.tag, record.task_id, key, letter=record.letter)
        payload = dumps(  # as the backend would: results are JSON and nothing else, see hanner/transport/celery_app.py
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
        expires = backend.failure_expires if record.state == states.FAILURE else backend.expires
        return End(record.tag, record.task_id, key, payload, expires or 0, record.overwrite, record.letter)
