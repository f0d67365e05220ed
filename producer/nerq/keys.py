"""Names of the Redis keys beside a queue: who holds its messages, who died under them, what was set aside.

The queue itself is a list of kombu's, named as the queue is; results lie where Celery's Redis backend puts them.
All times are Redis' own, so that no machine's clock matters.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The keys of one queue.

    Attributes:
        queue: the queue's name.
    """

    queue: str

    @property
    def lists(self) -> list[str]:
        """The lists in which messages wait: the queue itself, and kombu's own for messages with a priority."""
        return [self.queue, *(f"{self.queue}\x06\x16{step}" for step in (3, 6, 9))]

    @property
    def leases(self) -> str:
        """Sorted set: owner -> deadline in ms. A worker renews its own; what a lapsed owner held is taken back."""
        return f"nerq:{self.queue}:leases"

    def owner(self, owner: str) -> str:
        """Hash a worker renews with its lease; it is gone a minute after the last renewal.

        host, pid, processes, model (NAME@DIGEST8), started (Unix time, s), texts (answered so far), rate (texts/s,
        recent), batch_texts (recent mean), latency_ms (recent mean of wait and run), held (messages held now),
        since (Redis' time in ms from which on its lease never lapsed).
        """
        return f"nerq:{self.queue}:owner:{owner}"

    def held(self, owner: str) -> str:
        """Hash: tag -> raw message. What a worker has taken and not ended; a tag ends with the list it came from."""
        return f"nerq:{self.queue}:held:{owner}"

    def taken(self, owner: str) -> str:
        """Sorted set: tag -> when it was taken, in ms; it has the same tags as `held`."""
        return f"nerq:{self.queue}:taken:{owner}"

    def running(self, owner: str) -> str:
        """Hash: tag -> task id, of those held that a process works on."""
        return f"nerq:{self.queue}:running:{owner}"

    @property
    def deaths(self) -> str:
        """Hash: task id -> processes that died under it; gone when the task ends."""
        return f"nerq:{self.queue}:deaths"

    @property
    def dead(self) -> str:
        """Hash: task id -> dead letter, a JSON object.

        id, task, code, reason, deaths, at (Unix time, s, a float), message (the raw queue message as it stood, a
        string). To try one again: delete its result, remove it here and in `dead_index`, and push the message.
        The result has to go because the first answer to a task id stays.
        """
        return f"nerq:{self.queue}:dead"

    @property
    def dead_index(self) -> str:
        """Sorted set: task id -> `at` of its dead letter."""
        return f"nerq:{self.queue}:dead:index"
