"""Measure latency at a constant rate: messages are pushed at their due times, whether or not earlier ones are done.

A system that falls behind has growing latencies. Latency is the time from a message's due time to the notification of
its result.
"""

import json
import time

PREFIX = len("celery-task-meta-")
DRAIN_TIMEOUT = 20.0
"""Seconds to wait for the last results."""


def open_loop(client, queue, messages, rate):
    """Push `rate` messages per second; return the latency of each message in ms, in the order of the results.

    Args:
        client: a Redis client.
        queue: the list that the worker consumes.
        messages: messages that a client has sent.
        rate: messages per second.
    """
    due = {json.loads(message)["headers"]["id"]: number / rate for number, message in enumerate(messages)}
    latencies = []
    with client.pubsub() as pubsub:
        pubsub.psubscribe("celery-task-meta-*")
        while pubsub.get_message(timeout=1.0) is None:
            pass
        started = time.perf_counter()
        sent = 0
        while len(latencies) < len(messages):
            elapsed = time.perf_counter() - started
            ready = min(len(messages), int(elapsed * rate) + 1)
            if ready > sent:
                client.lpush(queue, *messages[sent:ready])
                sent = ready
            pause = sent / rate - elapsed if sent < len(messages) else 0.1
            notification = pubsub.get_message(timeout=max(0.0, pause))
            while notification is not None:
                latencies.append(
                    (time.perf_counter() - started - due[notification["channel"][PREFIX:].decode()]) * 1000
                )
                notification = pubsub.get_message(timeout=0)
            if elapsed > len(messages) / rate + DRAIN_TIMEOUT:
                raise TimeoutError(f"{len(messages) - len(latencies)} of {len(messages)} were not completed")
    return latencies
