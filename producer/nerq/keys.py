"""Names of what nerq keeps in Redis beside Celery's own keys. `queue` is the queue's name everywhere."""

PRIORITIES = (0, 3, 6, 9)
"""Steps into which kombu's Redis transport puts a message's priority; each has a list of its own."""


def lists(queue: str) -> list[str]:
    """Name the lists that hold waiting messages: the queue itself, and kombu's for messages with a priority."""
    return [queue, *(f"{queue}\x06\x16{step}" for step in PRIORITIES[1:])]


def leases(queue: str) -> str:
    """Sorted set: a worker's id -> when its lease lapses (Redis server time, ms)."""
    return f"nerq:{queue}:leases"


def owner(queue: str, worker: str) -> str:
    """Hash that a worker renews with its lease: who it is and how it fares."""
    return f"nerq:{queue}:owner:{worker}"


def deaths(queue: str) -> str:
    """Hash: task id -> how many processes died under it."""
    return f"nerq:{queue}:deaths"


def dead(queue: str) -> str:
    """Hash: task id -> a dead letter, JSON."""
    return f"nerq:{queue}:dead"


def dead_index(queue: str) -> str:
    """Sorted set: task id -> when it was set aside (unix seconds)."""
    return f"nerq:{queue}:dead:index"


def result(task_id: str) -> str:
    """Celery's key of a task's result, and the channel on which it is announced."""
    return f"celery-task-meta-{task_id}"
