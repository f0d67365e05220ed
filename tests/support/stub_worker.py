"""A stub worker: a thread that pops messages from hanner's queue and stores results as Celery does, with redis-py."""

import base64
import json
import threading
from collections import deque

import redis

from hanner.queue.keys import QueueKeys
from support.waiting import DEADLINE

MODEL = "stub@00000000"


class StubWorker:
    """Finds 马云 in texts. `hold` delays its answers and `behaviour` replaces them.

    Attributes:
        requests: The received requests: list, id, task, argument, headers, routing_key.
        behaviour: Takes a request and returns a result document (a dict), bytes to store unchanged, or None for the
            default answer.
    """

    def __init__(self, url, queue="hanner"):
        self._client = redis.Redis.from_url(url, client_name="stub", socket_timeout=None)  # BRPOP blocks
        self._queue = queue
        self._stop = f"{queue}-stop"
        self._changed = threading.Condition()
        self._delayed = deque()
        self._delaying = False
        self.requests = []
        self.behaviour = lambda request: None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        with self._client as client:
            client.lpush(self._stop, "now")
            self._thread.join(60)

    def hold(self):
        """Delay all answers until `release`."""
        with self._changed:
            self._delaying = True

    def release(self):
        """Send the delayed answers, and answer at once from now on."""
        with self._changed:
            self._delaying = False
            while self._delayed:
                self._answer(self._delayed.popleft())

    def wait_for(self, count, timeout=DEADLINE):
        """Wait until at least `count` requests were received, and return them."""
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
                if self._delaying:
                    self._delayed.append(request)
                else:
                    self._answer(request)
                self._changed.notify_all()

    def _answer(self, request):
        meta = self.behaviour(request) or success(usual(request["argument"]))
        store(self._client, request["id"], meta, replies=request["headers"].get("hanner", {}).get("replies"))


def register_worker(client, worker_id="w1", queue="hanner", **status):
    """Write the lease and the status of a worker, as its heartbeat does; the lease lasts for an hour."""
    keys = QueueKeys(queue)
    seconds, _ = client.time()
    client.zadd(keys.leases, {worker_id: (seconds + 3600) * 1000})
    client.hset(keys.worker(worker_id), mapping={"host": "a", **status})


def decoded(message):
    """Return the parts of a Celery message (protocol 2) that tests check."""
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
    """Return the default result for a text or a list of texts."""
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


def store(client, task_id, meta, *, announce=True, replies=None):
    """Store a result as Celery's Redis backend does; also publish it on the channel that the message names."""
    payload = meta
    if isinstance(meta, dict):
        payload = json.dumps({"traceback": None, "children": [], "date_done": None, "task_id": task_id, **meta})
    key = f"celery-task-meta-{task_id}"
    pipeline = client.pipeline()
    pipeline.set(key, payload, ex=3600)
    if announce:
        pipeline.publish(key, payload)
        if replies is not None:
            pipeline.publish(f"hanner:replies:{replies}", payload)
    pipeline.execute()
