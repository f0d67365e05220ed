"""Names of the Redis keys of a queue: leases, unacknowledged messages, crash counts, dead letters.

The queue itself is two kombu lists, NAME for interactive requests and NAME.bulk for bulk ones; Celery's Redis backend
stores the results. All times are Redis' own, so clocks of other machines do not matter.
"""

from dataclasses import dataclass

BULK = ".bulk"
"""What the name of a queue's second list ends in."""
SEPARATOR = "\x06\x16"
"""What kombu puts between a queue's name and the step of a priority; it has 3, 6 and 9, the highest being 0."""
QUEUES = "hanner:queues"
"""Set: all queues that a worker has ever worked on; it tells a model that rests from one that is misspelt."""


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The keys of one queue.

    Attributes:
        queue: the queue's name.
    """

    queue: str

    @property
    def bulk(self) -> str:
        """Name of the queue's second list, for what nobody sits and waits for."""
        return f"{self.queue}{BULK}"

    @property
    def interactive_lists(self) -> list[str]:
        """The lists that go first: the queue itself, and kombu's own for messages with a priority."""
        return _steps(self.queue)

    @property
    def bulk_lists(self) -> list[str]:
        """The same of the bulk queue."""
        return _steps(self.bulk)

    @property
    def lists(self) -> list[str]:
        """All lists in which messages wait."""
        return self.interactive_lists + self.bulk_lists

    def is_bulk(self, name: str) -> bool:
        """Tell whether a list is one of `bulk_lists`."""
        return name.partition(SEPARATOR)[0] == self.bulk

    @property
    def leases(self) -> str:
        """Sorted set: worker id -> deadline in ms. A worker renews its own; messages of an expired one are requeued."""
        return f"hanner:{self.queue}:leases"

    def worker(self, worker_id: str) -> str:
        """Hash that a worker writes with each heartbeat; it expires a minute after the lease.

        host, pid, processes, model (NAME@DIGEST8), started (Unix time, s), texts (answered so far), rate (texts/s,
        recent), batch_texts (recent mean), latency_ms (recent mean of wait and run), unacked (its unacknowledged
        messages), since (Redis time in ms since which its lease has not expired).
        """
        return f"hanner:{self.queue}:worker:{worker_id}"

    def unacked(self, worker_id: str) -> str:
        """Hash: tag -> raw message. The messages a worker has fetched and not acknowledged.

        A tag ends with the list that the message came from.
        """
        return f"hanner:{self.queue}:unacked:{worker_id}"

    def claimed_at(self, worker_id: str) -> str:
        """Sorted set: tag -> when the worker fetched the message, in ms; it has the same tags as `unacked`."""
        return f"hanner:{self.queue}:claimed_at:{worker_id}"

    def running(self, worker_id: str) -> str:
        """Hash: tag -> task id. The unacknowledged messages that a process works on."""
        return f"hanner:{self.queue}:running:{worker_id}"

    @property
    def crashes(self) -> str:
        """Hash: task id -> processes that died while they worked on it; removed when the task ends."""
        return f"hanner:{self.queue}:crashes"

    @property
    def dead(self) -> str:
        """Hash: task id -> dead letter, a JSON object.

        id, task, code, reason, crashes, at (Unix time, s, a float), list (that the message came from), message (the raw
        queue message, a string). To retry one: delete its result, remove it here and from `dead_index`, and push the
        message to its list. The result must be deleted because the first answer to a task id is kept.
        """
        return f"hanner:{self.queue}:dead"

    @property
    def dead_index(self) -> str:
        """Sorted set: task id -> `at` of its dead letter."""
        return f"hanner:{self.queue}:dead:index"


def _steps(name: str) -> list[str]:
    return [name, *(f"{name}{SEPARATOR}{step}" for step in (3, 6, 9))]


def as_text(value: bytes | str) -> str:
    """Return what a client of redis-py gives, whether or not it decodes."""
    return value.decode() if isinstance(value, bytes) else value
