"""Dead letters: requests that ended with an error of their own making, kept in Redis until somebody decides.

Workers set them aside; people look at them, send them again or throw them away with `hanner dead`. The schema is in
keys.py: a hash of JSON objects by task id, and a sorted set of when each was set aside.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from redis import Redis

from hanner.errors import HannerError
from hanner.queue.keys import QueueKeys, as_text
from hanner.transport.subscription import chunks, key

# Only he who removes a letter sends its message again, so that two who retry send it once. The message goes first: a
# Redis without memory refuses that, and then nothing has changed. The stored failure and the count of crashes go too: a
# worker acknowledges without work what has been answered, and what has died too often.
RETRY: Final = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', KEYS[5], ARGV[2])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('DEL', KEYS[4])
return 1
"""


@dataclass(frozen=True)
class DeadLetter:
    """A request that was set aside.

    Attributes:
        id: Its task id.
        task: Its task's name.
        code: A code of ErrorCode: what its caller was told.
        reason: A sentence for people.
        crashes: How many processes died under it.
        at: When it was set aside, unix seconds.
        message: The queue's message as it stood, so that it can be sent again unchanged. It holds the text.
        list: The list that it came from; empty if an older worker set it aside.
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
        """Read what is stored under an id; a newer version's further fields are ignored.

        Raises:
            HannerError: it is no dead letter.
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
        redis: Where they are.
        queue: The queue's name.
    """

    def __init__(self, redis: Redis, queue: str) -> None:
        self._redis: Any = redis  # whose return types are unions with awaitables
        self._keys = QueueKeys(queue)
        self._retry = redis.register_script(RETRY)

    def count(self) -> int:
        """Return how many there are."""
        return int(self._redis.hlen(self._keys.dead))

    def ids(self, *, before: float | None = None) -> list[str]:
        """Return the ids, oldest first; with `before` (unix seconds) only of those set aside until then."""
        index = self._keys.dead_index
        found = self._redis.zrange(index, "-inf", "+inf" if before is None else before, byscore=True)
        return [as_text(task_id) for task_id in found]

    def get(self, task_id: str) -> DeadLetter | None:
        """Return one letter, None when there is none of this id."""
        payload = self._redis.hget(self._keys.dead, task_id)
        return None if payload is None else DeadLetter.load(task_id, payload)

    def letters(self, ids: Iterable[str] | None = None) -> Iterator[DeadLetter]:
        """Yield letters, oldest first, or those of these ids; what is gone meanwhile is left out."""
        for chunk in chunks(self.ids() if ids is None else ids):
            for task_id, payload in zip(chunk, self._redis.hmget(self._keys.dead, chunk), strict=True):
                if payload is not None:
                    yield DeadLetter.load(task_id, payload)

    def retry(self, ids: Iterable[str]) -> int:
        """Put requests back to where they came from, with their ids; return how many of them were still there.

        Each leaves the dead letters in the same step in which it enters the queue.
        """
        keys, moved = self._keys, 0
        for letter in self.letters(ids):
            where = letter.list if letter.list in keys.lists else keys.queue
            names = [keys.dead, keys.dead_index, keys.crashes, key(letter.id), where]
            moved += int(self._retry(keys=names, args=[letter.id, letter.message]))
        return moved

    def purge(self, ids: Iterable[str]) -> int:
        """Throw letters away for good; return how many of them were still there."""
        gone = 0
        for chunk in chunks(ids):
            pipeline = self._redis.pipeline()
            pipeline.hdel(self._keys.dead, *chunk)
            pipeline.zrem(self._keys.dead_index, *chunk)
            gone += int(pipeline.execute()[0])
        return gone
