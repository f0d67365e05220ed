"""Where every accepted text is when a run is over: answered, set aside, still in Redis, or nowhere."""

import json
from dataclasses import dataclass, field

from chaos.observer import PREFIX

QUEUE = "hanner"
DEAD = f"hanner:{QUEUE}:dead"
SAMPLE = 5


@dataclass
class Audit:
    """The count of one run.

    Attributes:
        sent: accepted texts.
        answered: callers who got the right entities.
        dead: texts in the dead-letter list.
        failed: callers who got a named error, by code.
        wrong: callers who got another text's entities.
        left: texts without an end that Redis still has, in the queue or unacknowledged.
        lost: texts of which nothing is left, neither an end nor a message.
        exempt: such texts that nobody promised to keep; see Entry.exempt.
        hung: callers who wait although the end of their text is stored.
        twice: texts whose end was announced more than once, or whose caller was told more than once.
        deaths: the most processes that died under one dead letter.
        repeated: texts that the model was given more than once.
        examples: a few of the lost and hung.
    """

    sent: int = 0
    answered: int = 0
    dead: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    wrong: int = 0
    left: int = 0
    lost: int = 0
    exempt: int = 0
    hung: int = 0
    twice: int = 0
    deaths: int = 0
    repeated: int = 0
    examples: list[str] = field(default_factory=list)


def audit(client, ledger, announced, begun):
    """Count. `client` is a redis client that decodes; the system is at rest or its workers are dead."""
    entries = list(ledger.entries.values())
    counted = Audit(sent=len(entries))
    outcomes = ledger.outcomes()
    counted.answered = outcomes.pop("answered", 0)
    counted.wrong = outcomes.pop("wrong", 0)
    counted.failed = dict(outcomes)
    ids = {entry.task_id for entry in entries}
    letters = [json.loads(letter) for task_id, letter in client.hgetall(DEAD).items() if task_id in ids]
    counted.dead = len(letters)
    counted.deaths = max((letter.get("crashes", 0) for letter in letters), default=0)
    counted.twice = sum(e.tellings > 1 or (announced[e.task_id] > 1 and not e.rewound) for e in entries)
    counted.repeated = sum(len(begun[entry.serial]) > 1 for entry in entries)
    waiting = held(client)
    for entry in list(ledger.open.values()):
        if client.exists(f"{PREFIX}{entry.task_id}"):
            counted.hung += 1
        elif entry.task_id in waiting:
            counted.left += 1
            continue
        elif entry.exempt:
            counted.exempt += 1
            continue
        else:
            counted.lost += 1
        if len(counted.examples) < SAMPLE:
            counted.examples.append(f"{entry.serial} {entry.task_id} began {len(begun[entry.serial])} times")
    return counted


def held(client):
    """Return the ids of all task messages that Redis has, whatever list or hash they are in."""
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
    """Return the task id of a message as the queue, or one of the unacknowledged hashes, has it; None if it is none."""
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
