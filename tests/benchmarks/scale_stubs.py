"""Stub workers for scale.py: `python scale_stubs.py URL WORKERS RATE`. They send the same commands as a real worker.

A stub has the speed of one pool process. It waits, fetches, starts, completes and renews its lease with the worker's
InFlightStore and scripts, and polls the queue as often. It sleeps instead of running a model, which leaves the CPU to
Redis.
"""

import json
import sys
import threading
import time
from collections import deque
from datetime import UTC, datetime
from types import SimpleNamespace

import redis

from hanner.queue.keys import QueueKeys
from hanner_worker.delivery.channel import POLL_INTERVAL
from hanner_worker.delivery.heartbeat import HEARTBEATS_PER_LEASE
from hanner_worker.delivery.inflight import Completion, FetchRequest, InFlightStore, Outcome
from hanner_worker.delivery.scripts import FETCH
from hanner_worker.payload import TaskPayload

PREFETCH, BATCH = 128, 32
"""Requests that a worker with one process prefetches, and maximum number of texts per batch."""
ENTITIES = [{"text": "马云", "type": "PER", "start": 0, "end": 2, "score": 0.998}] * 2


class Stub:
    def __init__(self, url, rate):
        self._client = redis.Redis.from_url(url)
        self._keys = QueueKeys("hanner")
        self._backend = make_backend(self._client)
        self.inflight = InFlightStore(self._keys, 5.0)
        self._rate = rate
        self._waiting = deque()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            if not self._waiting:
                self._client.blmove("hanner", "hanner", 1, "RIGHT", "RIGHT")
                self._fetch(idle=True)
                continue
            batch, texts = [], 0
            while self._waiting and (not batch or texts + self._waiting[0][1] <= BATCH):
                batch.append(self._waiting.popleft())
                texts += batch[-1][1]
            self._fetch(idle=False)
            self._run_batch(batch, texts)

    def _fetch(self, *, idle):
        room = PREFETCH - len(self._waiting)
        if room <= 0:
            return
        requests = [FetchRequest(lists, room, idle) for lists in (self._keys.interactive_lists, self._keys.bulk_lists)]
        reply = FETCH(*self.inflight.fetch_command(*requests), client=self._client)
        for tag, raw in InFlightStore.parse_fetch(reply).messages:
            headers = json.loads(raw)["headers"]
            payload = TaskPayload(headers["id"], headers["task"], (), {}, tag=tag)
            self._waiting.append((payload, headers["hanner"]["texts"]))

    def _run_batch(self, batch, texts):
        until = time.monotonic() + texts / self._rate
        self.inflight.start(self._backend, [payload for payload, _ in batch])
        while (remaining := until - time.monotonic()) > 0:
            time.sleep(min(POLL_INTERVAL, remaining))
            if remaining > POLL_INTERVAL:
                self._fetch(idle=False)
        completions = [Completion(payload, Outcome.OK, make_result(texts)) for payload, texts in batch]
        self.inflight.complete(self._backend, completions)


def make_backend(client):
    """Return what InFlightStore uses of Celery's Redis backend."""
    return SimpleNamespace(
        client=client,
        app=SimpleNamespace(now=lambda: datetime.now(UTC)),
        get_key_for_task=lambda task_id: f"celery-task-meta-{task_id}",
        encode_result=lambda result, _: result,
        expires=3600,
    )


def make_result(texts):
    """Return the result of a task with this number of texts."""
    found = {"entities": ENTITIES}
    result = found if texts == 1 else {"documents": [found] * texts}
    return result | {"model": "stub@00000000"}


def main():
    url, workers, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    stubs = [Stub(url, rate) for _ in range(workers)]
    state = {"host": "stub", "pid": 1, "processes": 1, "model": "stub@00000000", "started": 1, "texts": 0, "rate": rate}
    with redis.Redis.from_url(url) as client:
        print("ready", flush=True)
        while True:
            for stub in stubs:
                stub.inflight.heartbeat(client, state | {"batch_texts": BATCH, "latency_ms": 1})
            time.sleep(5.0 / HEARTBEATS_PER_LEASE)


if __name__ == "__main__":
    main()
