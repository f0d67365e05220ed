"""Counts how often each result is announced. Exactly once is correct."""

import contextlib
import json
import threading
from collections import Counter

import redis

PREFIX = "celery-task-meta-"


class AnnouncementCounter:
    """Subscribes to all results in a thread. It misses results that are published while it is disconnected.

    Args:
        port: Returns the server's current port.

    Attributes:
        counts: Number of announcements per task id.
    """

    def __init__(self, port):
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.counts = Counter()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)

    def _run(self):
        while not self._stop.is_set():
            with contextlib.suppress(redis.RedisError, OSError), redis.Redis(port=self._port()) as client:
                self._listen(client.pubsub())
            self._stop.wait(0.05)

    def _listen(self, pubsub):
        pubsub.psubscribe(f"{PREFIX}*")
        while not self._stop.is_set():
            message = pubsub.get_message(timeout=0.2)
            if message and message["type"] == "pmessage":
                task_id = message["channel"].decode().removeprefix(PREFIX)
                if json.loads(message["data"])["status"] in ("SUCCESS", "FAILURE", "REVOKED"):
                    self.counts[task_id] += 1
