"""Dead letters: requests that failed permanently, stored in Redis until an operator retries or purges them.

Workers write them; `hanner dead` shows, retries and purges them. The schema is in keys.py: a hash of JSON objects by
task id, and a sorted set with the time of each. Sends Redis commands through a client that the caller passes in.
"""

import base64
import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from redis import Redis

from hanner.errors import HannerError
from hanner.queue.keys import QueueKeys, as_text, batched, result_key
from hanner.utils.lua import load_script

RETRY: Final = load_script("hanner.queue", "retry_dead_letter")

GROUP_BYTES: Final = 4 << 20
"""Bytes of dead letters that are read in one command, unless a single one is larger."""


@dataclass(frozen=True)
class DeadLetter:
    """A request that failed permanently.

    Attributes:
        id: Its task id.
        task: Its task's name.
        code: The code of ErrorCode that its caller received.
        reason: A message for people.
        crashes: How many processes died running it.
        at: When it was moved to the dead letters, Unix seconds.
        message: The queue's message, unchanged, so that it can be sent again. It contains the text.
        list: The list that it came from; empty if an older worker wrote it.
    """

    id: str
    task: str
    code: str
    reason: str
    crashes: int
    at: float
    message: str
    list: str = ""

    @classmethod
    def load(cls, task_id: str, payload: bytes | str) -> Self:
        """Return the dead letter stored under an id; unknown fields, such as a newer version's, are ignored.

        Raises:
            HannerError: the payload is not a dead letter.
        """
        try:
            stored = json.loads(payload)
            return cls(
                id=task_id,
                task=str(stored["task"]),
                code=str(stored["code"]),
                reason=str(stored["reason"]),
                crashes=int(stored["crashes"]),
                at=float(stored["at"]),
                message=str(stored["message"]),
                list=str(stored.get("list", "")),
            )
        except (ValueError, LookupError, TypeError) as error:
            raise HannerError(
                f"the dead letter {task_id} cannot be read ({error!r}); purge it, or update hanner"
            ) from None


class DeadLetters:
    """The dead letters of one queue. Errors of redis-py pass through.

    Args:
        redis: A client of the queue's Redis.
        queue: The queue's name.
    """

    def __init__(self, redis: Redis, queue: str) -> None:
        self._redis: Any = redis  # its return types are unions with awaitables
        self._keys = QueueKeys(queue)

    def count(self) -> int:
        """Return how many there are."""
        return int(self._redis.hlen(self._keys.dead))

    def ids(self, *, before: float | None = None) -> list[str]:
        """Return the ids, oldest first; with `before` (Unix seconds) only those not newer than that."""
        index = self._keys.dead_index
        found = self._redis.zrange(index, "-inf", "+inf" if before is None else before, byscore=True)
        return [as_text(task_id) for task_id in found]

    def get(self, task_id: str) -> DeadLetter | None:
        """Return the dead letter with this id, or None if it does not exist."""
        payload = self._redis.hget(self._keys.dead, task_id)
        return None if payload is None else DeadLetter.load(task_id, payload)

    def letters(self, ids: Iterable[str] | None = None) -> Iterator[DeadLetter]:
        """Yield all dead letters, oldest first, or those with these ids; ids that no longer exist are skipped."""
        for batch in batched(self.ids() if ids is None else ids):
            for group in self._group_by_size(batch):
                for task_id, payload in zip(group, self._redis.hmget(self._keys.dead, group), strict=True):
                    if payload is not None:
                        yield DeadLetter.load(task_id, payload)

    def _group_by_size(self, ids: list[str]) -> Iterator[list[str]]:
        """Yield the ids in groups whose dead letters have at most GROUP_BYTES together, or a single one."""
        pipeline = self._redis.pipeline(transaction=False)
        for task_id in ids:
            pipeline.hstrlen(self._keys.dead, task_id)
        group: list[str] = []
        size = 0
        for task_id, length in zip(ids, pipeline.execute(), strict=True):
            if group and size + length > GROUP_BYTES:
                yield group
                group, size = [], 0
            group.append(task_id)
            size += length
        if group:
            yield group

    def retry(self, ids: Iterable[str]) -> int:
        """Move requests back to the lists they came from, with their ids; return how many still existed.

        Each is removed from the dead letters and pushed to the queue atomically.
        """
        keys, retried = self._keys, 0
        for letter in self.letters(ids):
            queue = letter.list if letter.list in keys.lists else keys.queue
            names = [keys.dead, keys.dead_index, keys.crashes, result_key(letter.id), queue]
            retried += int(RETRY(names, [letter.id, letter.message], self._redis))
        return retried

    def purge(self, ids: Iterable[str]) -> int:
        """Delete dead letters; return how many still existed."""
        purged = 0
        for batch in batched(ids):
            pipeline = self._redis.pipeline()
            pipeline.hdel(self._keys.dead, *batch)
            pipeline.zrem(self._keys.dead_index, *batch)
            purged += int(pipeline.execute()[0])
        return purged


class AllDeadLetters:
    """The dead letters of a queue that is spread over several Redis, with the methods of `DeadLetters`.

    Args:
        parts: Those of each Redis.
    """

    def __init__(self, parts: Sequence[DeadLetters]) -> None:
        self._parts = parts

    def count(self) -> int:
        """Return how many there are."""
        return sum(part.count() for part in self._parts)

    def ids(self, *, before: float | None = None) -> list[str]:
        """Return the ids, those of one Redis after those of another; with `before` as in `DeadLetters.ids`."""
        return [task_id for part in self._parts for task_id in part.ids(before=before)]

    def get(self, task_id: str) -> DeadLetter | None:
        """Return the dead letter with this id, or None if it does not exist."""
        return next((letter for part in self._parts if (letter := part.get(task_id)) is not None), None)

    def letters(self, ids: Iterable[str] | None = None) -> Iterator[DeadLetter]:
        """Yield all dead letters, oldest first, or those with these ids; ids that no longer exist are skipped."""
        selected = None if ids is None else list(ids)
        return heapq.merge(*(part.letters(selected) for part in self._parts), key=lambda letter: letter.at)

    def retry(self, ids: Iterable[str]) -> int:
        """Move requests back to the lists they came from; see `DeadLetters.retry`."""
        selected = list(ids)
        return sum(part.retry(selected) for part in self._parts)

    def purge(self, ids: Iterable[str]) -> int:
        """Delete dead letters; return how many still existed."""
        selected = list(ids)
        return sum(part.purge(selected) for part in self._parts)


def first_argument(message: str) -> Any:
    """Return the text or texts of a dead letter's message; None if it is not a message of Celery."""
    try:
        (argument, *_), *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return argument
