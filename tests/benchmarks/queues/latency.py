"""Latency at a steady rate: ready-made messages are pushed at their moments, whether or not earlier ones are answered.

So a system that falls behind shows it. The clock of a message runs from its moment to the announcement of its result.
"""

import json
import time

PREFIX = len("celery-task-meta-")
DRAIN = 20.0
"""Seconds to wait for the last answers."""


def open_loop(client, queue, messages, rate):
    """Push so many messages a second; return every message's latency in ms, in the order of the answers.

    Args:
        client: of Redis.
        queue: the worker's list.
        messages: as a client has sent them.
        rate: messages per second.
    """
    due = {json.loads(message)["headers"]["id"]: number / rate for number, message in enumerate(messages)}
    latencies = []
    with client.pubsub() as pubsub:
        pubsub.psubscribe("celery-task-meta-*")
        while pubsub.get_message(timeout=1.0) is None:
            pass
        began = time.perf_counter()
        sent = 0
        while len(latencies) < len(messages):
            elapsed = time.perf_counter() - began
            ready = min(len(messages), int(elapsed * rate) + 1)
            if ready > sent:
                client.lpush(queue, *messages[sent:ready])
                sent = ready
            rest = sent / rate - elapsed if sent < len(messages) else 0.1
            answer = pubsub.get_message(timeout=max(0.0, rest))
            while answer is not None:
                latencies.append((time.perf_counter() - began - due[answer["channel"][PREFIX:].decode()]) * 1000)
                answer = pubsub.get_message(timeout=0)
            if elapsed > len(messages) / rate + DRAIN:
                raise TimeoutError(f"{len(messages) - len(latencies)} of {len(messages)} were not answered")
    return latencies
