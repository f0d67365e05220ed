"""Writes dead letters to Redis as a worker does."""

import json
from dataclasses import asdict

from hanner.queue.dead_letters import DeadLetter
from hanner.queue.keys import QueueKeys


def add_dead_letter(client, task_id, *, code="worker_lost", reason="its process died", at=1000.0, message="{}"):
    letter = DeadLetter(task_id, "hanner.extract", code, reason, 3, at, message)
    keys = QueueKeys("hanner")
    client.hset(keys.dead, task_id, json.dumps(asdict(letter)))
    client.zadd(keys.dead_index, {task_id: at})
    return letter
