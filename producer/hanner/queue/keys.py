"""Names of the Redis keys of a queue: lists, leases, unacknowledged messages, dead letters, results. No I/O.

The queue consists of two lists of kombu: NAME for interactive requests and NAME.bulk for bulk requests. Results are
stored under the keys of Celery's Redis backend. All times are Redis' own, so that the clocks of machines do not matter.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

BULK = ".bulk"
"""Suffix of the name of a queue's bulk list."""
SEPARATOR = "\x06\x16"
"""kombu's separator of a queue's name and a priority step; the steps are 3, 6 and 9, and 0 is the highest."""
QUEUES = "hanner:queues"
"""Set: all queues that a worker has ever served. It distinguishes a model without workers from a misspelt name."""
RESULT_PREFIX = "celery-task-meta-"
REPLIES_PREFIX = "hanner:replies:"
"""Prefix of the channels on which clients receive results: one per process, and any number of results in a message."""
REPLY_SEPARATOR = b"\n"
"""Between the results in a message of such a channel. JSON that a worker stores contains none."""
KEYS_PER_COMMAND = 500
"""Keys in one command: enough to be efficient, few enough not to block Redis."""


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The keys of one queue.

    Attributes:
        queue: The queue's name.
    """

    queue: str

    @property
    def bulk(self) -> str:
        """Name of the queue's bulk list, for requests whose callers can wait."""
        return f"{self.queue}{BULK}"

    @property
    def interactive_lists(self) -> list[str]:
        """The lists that workers take from first: the queue itself, and kombu's lists for messages with a priority."""
        return _steps(self.queue)

    @property
    def bulk_lists(self) -> list[str]:
        """The same lists of the bulk queue."""
        return _steps(self.bulk)

    @property
    def lists(self) -> list[str]:
        """All lists that messages may wait in."""
        return self.interactive_lists + self.bulk_lists

    def is_bulk(self, name: str) -> bool:
        """Return whether a list is one of `bulk_lists`."""
        return name.partition(SEPARATOR)[0] == self.bulk

    @property
    def leases(self) -> str:
        """Sorted set: worker id -> deadline in ms. A worker renews its own; messages of an expired one are requeued."""
        return f"hanner:{self.queue}:leases"

    def worker(self, worker_id: str) -> str:
        """Hash that a worker writes with each heartbeat; it expires a minute after the lease.

        host, pid, processes, model (NAME@DIGEST8), started (Unix time, s), texts (answered so far), rate (texts/s,
        recent), batch_texts (recent mean), latency_ms (recent mean of wait and run), busy (recent mean number of
        processes with interactive batches), text_seconds (process time per text), work_seconds and bulk_work_seconds
        (process time for the requests that it has), unacked (its unacknowledged messages), since (Redis time in ms
        since which its lease has not expired), handled (number of the newest message that it has decoded).
        """
        return f"hanner:{self.queue}:worker:{worker_id}"

    def unacked(self, worker_id: str) -> str:
        """Hash: tag -> raw message. The messages a worker has fetched and not acknowledged.

        A tag starts with the number of the message among all that the worker has fetched, and ends with the list that
        it came from. A message may have a line in front, `takeovers N`: N workers died that had just fetched it. Of a
        message that was too large there is `oversized BYTES`, and its start and end.
        """
        return f"hanner:{self.queue}:unacked:{worker_id}"

    def claimed_at(self, worker_id: str) -> str:
        """Sorted set: tag -> when the worker fetched the message, in ms; it has the same tags as `unacked`."""
        return f"hanner:{self.queue}:claimed_at:{worker_id}"

    @property
    def scheduled(self) -> str:
        """Sorted set: task id -> when the request may start (its `eta`), in ms. No worker has these messages."""
        return f"hanner:{self.queue}:scheduled"

    @property
    def scheduled_messages(self) -> str:
        """Hash: task id -> the list that the message came from, a line feed, and the raw message."""
        return f"hanner:{self.queue}:scheduled:messages"

    def running(self, worker_id: str) -> str:
        """Hash: tag -> task id. The unacknowledged messages that a process works on."""
        return f"hanner:{self.queue}:running:{worker_id}"

    @property
    def crashes(self) -> str:
        """Hash: task id -> number of processes that died running it; deleted when the task ends."""
        return f"hanner:{self.queue}:crashes"

    @property
    def dead(self) -> str:
        """Hash: task id -> dead letter, a JSON object.

        id, task, code, reason, crashes, at (Unix time, s, a float), list (where the message came from), message (the
        raw queue message, a string). To retry one: delete its result, remove it here and in `dead_index`, and push the
        message to its list. The result has to be deleted because the first result of a task id is final.
        """
        return f"hanner:{self.queue}:dead"

    @property
    def dead_index(self) -> str:
        """Sorted set: task id -> `at` of its dead letter."""
        return f"hanner:{self.queue}:dead:index"


def queue_name_problem(name: str) -> str | None:
    """Return why a queue cannot have this name, or None if it can."""
    if not name.isprintable() or name != name.strip():
        return "must have printable characters only, and no spaces at either end; choose another name"
    if name.endswith(BULK):
        return f"names that end in {BULK} are reserved for bulk lists; choose another name"
    return None


def _steps(name: str) -> list[str]:
    return [name, *(f"{name}{SEPARATOR}{step}" for step in (3, 6, 9))]


def result_key(task_id: str) -> str:
    """Return the key of a task's result, which is also the channel on which Celery publishes it."""
    return RESULT_PREFIX + task_id


def replies_channel(name: str) -> str:
    """Return the channel on which a client receives its results, named by the header `replies` of its messages."""
    return REPLIES_PREFIX + name


def batched(ids: Iterable[str], size: int = KEYS_PER_COMMAND) -> Iterator[list[str]]:
    """Yield lists of at most `size` ids, for commands with many keys."""
    source = iter(ids)
    return iter(lambda: list(islice(source, size)), [])


def as_text(value: bytes | str) -> str:
    """Return a reply of redis-py as a string, whether or not the client decodes replies."""
    return value.decode() if isinstance(value, bytes) else value
