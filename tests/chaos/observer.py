"""Counts how often each result is announced: once is right."""

import contextlib
import json
import threading
from collections import Counter

import redis

PREFIX = "celery-task-meta-"


class Observer:
    """Listens to all announcements of results on a thread; what passes while Redis is away it does not hear.

    `port` says where the server is now.
    """

    def __init__(self, port):
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.announced = Counter()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(10)

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
                    self.announced[task_id] += 1
