"""What metrics cost: microseconds to record a batch, and CPU of a worker's parent for a text with and without them.

    PYTHONPATH=tests python tests/benchmarks/metrics.py

The model does nothing, so what is measured is the parent: it receives, batches, acknowledges, and counts or does not.
"""

import argparse
import os
import statistics
import time
from types import SimpleNamespace

import psutil
from prometheus_client import CollectorRegistry

from hanner import Client
from hanner.settings import Settings
from hanner_worker.app import make_worker_app
from hanner_worker.execution.batch import Ending, Outcome
from hanner_worker.observability.hooks import BatchRecord
from hanner_worker.observability.metrics import Recorder
from support.fakes.recogniser import FakeRecogniser
from support.ports import free_port
from support.scripted_worker import find
from support.servers import redis_server
from support.workers import worker

FIGURES = {"tokens": 900, "padded_tokens": 1000, "windows": 32, "tokenise": 1e-3, "infer": 0.04, "decode": 1e-3}


def recording(texts, repeats=2000):
    """Return the microseconds of CPU that recording a batch of so many requests takes."""
    recorder = Recorder(CollectorRegistry())
    request = SimpleNamespace(sent_at=999.0, size=SimpleNamespace(texts=1, characters=20))
    flown = BatchRecord(1, [request] * texts, 1000.0, [0.01] * texts, 0.05, [Outcome(Ending.ANSWERED)] * texts, FIGURES)
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(repeats):
            recorder.batch(flown)
        best = min(best, time.process_time() - began)
    return best / repeats * 1e6


def parent(texts, env):
    """Return the microseconds of CPU that a worker's parent spends on a text of a long queue."""
    with (
        redis_server() as server,
        worker(server.url, "-c", "1", app="benchmarks.metrics", env=env) as running,
        Client(server.url, timeout=300) as ner,
    ):
        ner.extract("马云")
        process = psutil.Process(running.process.pid)
        before = sum(process.cpu_times()[:2])
        for job in [ner.submit("马云在杭州") for _ in range(texts)]:
            job.result(timeout=300)
        return (sum(process.cpu_times()[:2]) - before) / texts * 1e6


def main():
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--turns", type=int, default=4, help="of each, one after the other")
    given = parser.parse_args()
    for texts in (1, 32):
        taken = recording(texts)
        print(f"recording a batch of {texts}: {taken:.1f} µs, {taken / texts:.2f} µs a text")
    off, on = [], []
    for _ in range(given.turns):
        off.append(parent(given.texts, {}))
        on.append(parent(given.texts, {"HANNER_METRICS_PORT": str(free_port())}))
    print(f"parent, without: {statistics.median(off):.0f} µs a text ({', '.join(f'{one:.0f}' for one in off)})")
    print(f"parent, with:    {statistics.median(on):.0f} µs a text ({', '.join(f'{one:.0f}' for one in on)})")
    print(f"ratio: {statistics.median(on) / statistics.median(off):.3f}")


if __name__ == "__main__":
    main()
elif os.environ.get("HANNER_BROKER_URL"):
    fake = FakeRecogniser("fake", lambda texts: map(find, texts))
    app = make_worker_app(Settings.from_env(), load=lambda settings: fake)
