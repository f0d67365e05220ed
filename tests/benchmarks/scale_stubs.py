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

import redis

from hanner.queue.keys import QueueKeys
from hanner_worker.delivery.channel import LOOK
from hanner_worker.delivery.heartbeat import RENEWALS
from hanner_worker.delivery.inflight import End, FetchRequest, InFlightStore
from hanner_worker.delivery.scripts import TAKE

PREFETCH, BATCH = 128, 32
"""Requests that a worker with one process prefetches, and maximum number of texts per batch."""
ENTITIES = [{"text": "马云", "type": "PER", "start": 0, "end": 2, "score": 0.998}] * 2


class Stub:
    def __init__(self, url, rate):
        self._client = redis.Redis.from_url(url)
        self._keys = QueueKeys("hanner")
        self.ledger = InFlightStore(self._keys, 5.0)
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
            while self._waiting and (not batch or texts + self._waiting[0][2] <= BATCH):
                batch.append(self._waiting.popleft())
                texts += batch[-1][2]
            self._fetch(idle=False)
            self._run_batch(batch, texts)

    def _fetch(self, *, idle):
        room = PREFETCH - len(self._waiting)
        if room <= 0:
            return
        wants = [FetchRequest(lists, room, idle) for lists in (self._keys.interactive_lists, self._keys.bulk_lists)]
        for tag, raw in InFlightStore.taken(TAKE(self._client, *self.ledger.take_command(*wants))).messages:
            headers = json.loads(raw)["headers"]
            self._waiting.append((tag, headers["id"], headers["hanner"]["texts"]))

    def _run_batch(self, batch, texts):
        until = time.monotonic() + texts / self._rate
        results = [f"celery-task-meta-{task_id}" for _, task_id, _ in batch]
        self.ledger.begin(self._client, [tag for tag, _, _ in batch], [one for _, one, _ in batch], results)
        while (remaining := until - time.monotonic()) > 0:
            time.sleep(min(LOOK, remaining))
            if remaining > LOOK:
                self._fetch(idle=False)
        ends = [
            End(tag, task_id, key, make_result(task_id, count), 3600)
            for (tag, task_id, count), key in zip(batch, results, strict=True)
        ]
        self.ledger.finish(self._client, ends)


def make_result(task_id, texts):
    """Return a result as the worker stores it."""
    found = {"entities": ENTITIES}
    result = found if texts == 1 else {"documents": [found] * texts}
    meta = {"status": "SUCCESS", "result": result | {"model": "stub@00000000"}, "traceback": None, "children": []}
    return json.dumps(meta | {"date_done": "2026-01-01T00:00:00+00:00", "task_id": task_id})


def main():
    url, workers, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    stubs = [Stub(url, rate) for _ in range(workers)]
    state = {"host": "stub", "pid": 1, "processes": 1, "model": "stub@00000000", "started": 1, "texts": 0, "rate": rate}
    with redis.Redis.from_url(url) as client:
        print("ready", flush=True)
        while True:
            for stub in stubs:
                stub.ledger.renew(client, state | {"batch_texts": BATCH, "latency_ms": 1})
            time.sleep(5.0 / RENEWALS)


if __name__ == "__main__":
    main()
