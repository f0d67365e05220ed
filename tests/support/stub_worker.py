"""A worker that is no worker: a thread that pops hanner's queue and writes results as Celery does, with plain redis."""

import base64
import json
import threading
from collections import deque

import redis

MODEL = "stub@00000000"


class StubWorker:
    """Finds 马云 in texts. Holds its answers back while `held`; answers otherwise when `behaviour` says so.

    Attributes:
        requests: What has been taken from the queue: list, id, task, argument, headers, routing_key.
        behaviour: From a request to a meta (a dict), bytes to be stored as they are, or None for the usual answer.
    """

    def __init__(self, url, queue="hanner"):
        self._client = redis.Redis.from_url(url, client_name="stub", socket_timeout=None)  # BRPOP waits
        self._queue = queue
        self._stop = f"{queue}-stop"
        self._changed = threading.Condition()
        self._held = deque()
        self._holding = False
        self.requests = []
        self.behaviour = lambda request: None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        with self._client as client:
            client.lpush(self._stop, "now")
            self._thread.join(10)

    def hold(self):
        """Answer no more until `release`."""
        with self._changed:
            self._holding = True

    def release(self):
        """Answer what was held back, and everything that comes."""
        with self._changed:
            self._holding = False
            while self._held:
                self._answer(self._held.popleft())

    def wait_for(self, count, timeout=10):
        """Return the requests when there are at least so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, timeout), self.requests
            return list(self.requests)

    def _run(self):
        while True:
            queue, message = self._client.brpop([self._stop, self._queue, f"{self._queue}.bulk"], timeout=0)
            if queue.decode() == self._stop:
                return
            with self._changed:
                request = decoded(message) | {"list": queue.decode()}
                self.requests.append(request)
                if self._holding:
                    self._held.append(request)
                else:
                    self._answer(request)
                self._changed.notify_all()

    def _answer(self, request):
        meta = self.behaviour(request) or success(usual(request["argument"]))
        store(self._client, request["id"], meta)


def decoded(message):
    """Return what matters of a message of Celery's, protocol 2."""
    message = json.loads(message)
    (argument,), kwargs, embed = json.loads(base64.b64decode(message["body"]))
    assert kwargs == {}
    headers = message["headers"]
    return {
        "id": headers["id"],
        "task": headers["task"],
        "argument": argument,
        "headers": headers,
        "embed": embed,
        "routing_key": message["properties"]["delivery_info"]["routing_key"],
    }


def usual(argument):
    """Return the result for a text or for a list of texts."""
    if isinstance(argument, str):
        return {"entities": people(argument), "model": MODEL}
    return {"documents": [{"entities": people(text)} for text in argument], "model": MODEL}


def people(text):
    start = text.find("马云")
    return [] if start < 0 else [{"text": "马云", "type": "PER", "start": start, "end": start + 2, "score": 0.9}]


def success(result):
    return {"status": "SUCCESS", "result": result}


def failed(kind, message="", module="celery.exceptions", status="FAILURE"):
    return {"status": status, "result": {"exc_type": kind, "exc_module": module, "exc_message": [message]}}


def store(client, task_id, meta, *, announce=True):
    """Store a result as Celery's Redis backend does."""
    payload = meta
    if isinstance(meta, dict):
        payload = json.dumps({"traceback": None, "children": [], "date_done": None, "task_id": task_id, **meta})
    key = f"celery-task-meta-{task_id}"
    pipeline = client.pipeline()
    pipeline.set(key, payload, ex=3600)
    if announce:
        pipeline.publish(key, payload)
    pipeline.execute()
