"""Counts where every accepted text is at the end of a run: answered, failed, still in Redis, or lost."""

import json
from dataclasses import dataclass, field

from chaos.announcements import PREFIX

QUEUE = "hanner"
DEAD = f"hanner:{QUEUE}:dead"
MAX_EXAMPLES = 5


@dataclass
class Audit:
    """The counts of one run.

    Attributes:
        sent: Accepted texts.
        answered: Callers that got the right entities.
        dead: Texts in the dead-letter list.
        failed: Callers that got a named error, by code.
        wrong: Callers that got the entities of another text.
        unanswered: Texts without an outcome that are still in Redis, queued or in flight.
        lost: Texts without an outcome that are not in Redis either.
        allowed_losses: Lost texts that no guarantee covers; see SentText.may_be_lost.
        hung: Callers that still wait although the result is stored.
        duplicates: Texts whose result was announced more than once, or whose caller got more than one outcome.
        deaths: The highest number of process deaths of one dead letter.
        repeated: Texts that the model got more than once.
        examples: A few of the lost and hung texts.
    """

    sent: int = 0
    answered: int = 0
    dead: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    wrong: int = 0
    unanswered: int = 0
    lost: int = 0
    allowed_losses: int = 0
    hung: int = 0
    duplicates: int = 0
    deaths: int = 0
    repeated: int = 0
    examples: list[str] = field(default_factory=list)


def audit(clients, log, announced, starts):
    """Return the counts. The system must be idle or its workers dead. Each Redis has a client, which decodes."""
    texts = list(log.texts.values())
    counts = Audit(sent=len(texts))
    outcomes = log.outcomes()
    counts.answered = outcomes.pop("answered", 0)
    counts.wrong = outcomes.pop("wrong", 0)
    counts.failed = dict(outcomes)
    ids = {text.task_id for text in texts}
    dead = [item for client in clients for item in client.hgetall(DEAD).items()]
    letters = [json.loads(letter) for task_id, letter in dead if task_id in ids]
    counts.dead = len(letters)
    counts.deaths = max((letter.get("crashes", 0) for letter in letters), default=0)
    counts.duplicates = sum(t.callbacks > 1 or (announced[t.task_id] > 1 and not t.may_repeat) for t in texts)
    counts.repeated = sum(len(starts[text.serial]) > 1 for text in texts)
    in_redis = set().union(*map(messages_in_redis, clients))
    for text in list(log.pending.values()):
        if any(client.exists(f"{PREFIX}{text.task_id}") for client in clients):
            counts.hung += 1
        elif text.task_id in in_redis:
            counts.unanswered += 1
            continue
        elif text.may_be_lost:
            counts.allowed_losses += 1
            continue
        else:
            counts.lost += 1
        if len(counts.examples) < MAX_EXAMPLES:
            counts.examples.append(f"{text.serial} {text.task_id} started {len(starts[text.serial])} times")
    return counts


def messages_in_redis(client):
    """Return the ids of all task messages in Redis, in any list or hash."""
    found = set()
    for key in client.scan_iter(count=1000):
        kind = client.type(key)
        if kind == "list":
            values = client.lrange(key, 0, -1)
        elif kind == "hash" and key != DEAD:
            values = client.hvals(key)
        else:
            continue
        found.update(filter(None, map(task_id, values)))
    return found


def task_id(value):
    """Return the task id of a message in the queue or in an unacknowledged hash; None if `value` is not a message."""
    try:
        message = json.loads(value)
    except ValueError:
        return None
    if isinstance(message, list) and message:
        message = message[0]
    if isinstance(message, str):
        return task_id(message)
    headers = message.get("headers") if isinstance(message, dict) else None
    id_ = headers.get("id") if isinstance(headers, dict) else None
    return id_ if isinstance(id_, str) else None
