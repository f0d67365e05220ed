"""Names of the Redis keys beside a queue: who holds its messages, who died under them, what was set aside.

The queue itself is two lists of kombu's, NAME for what somebody waits for and NAME.bulk for the rest; results lie where
Celery's Redis backend puts them.
All times are Redis' own, so that no machine's clock matters.
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
        """Sorted set: owner -> deadline in ms. A worker renews its own; what a lapsed owner held is taken back."""
        return f"hanner:{self.queue}:leases"

    def owner(self, owner: str) -> str:
        """Hash a worker renews with its lease; it is gone a minute after the last renewal.

        host, pid, processes, model (NAME@DIGEST8), started (Unix time, s), texts (answered so far), rate (texts/s,
        recent), batch_texts (recent mean), latency_ms (recent mean of wait and run), held (messages held now),
        since (Redis' time in ms from which on its lease never lapsed).
        """
        return f"hanner:{self.queue}:owner:{owner}"

    def held(self, owner: str) -> str:
        """Hash: tag -> raw message. What a worker has taken and not ended; a tag ends with the list it came from."""
        return f"hanner:{self.queue}:held:{owner}"

    def taken(self, owner: str) -> str:
        """Sorted set: tag -> when it was taken, in ms; it has the same tags as `held`."""
        return f"hanner:{self.queue}:taken:{owner}"

    def running(self, owner: str) -> str:
        """Hash: tag -> task id, of those held that a process works on."""
        return f"hanner:{self.queue}:running:{owner}"

    @property
    def deaths(self) -> str:
        """Hash: task id -> processes that died under it; gone when the task ends."""
        return f"hanner:{self.queue}:deaths"

    @property
    def dead(self) -> str:
        """Hash: task id -> dead letter, a JSON object.

        id, task, code, reason, deaths, at (Unix time, s, a float), list (where the message came from), message (the raw
        queue message as it stood, a string). To try one again: delete its result, remove it here and in `dead_index`,
        and push the message to its list.
        The result has to go because the first answer to a task id stays.
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
