"""Measure the cost of metrics: CPU time to record a batch, and CPU time of a worker's parent per text.

    PYTHONPATH=tests python tests/benchmarks/metrics.py

The model does nothing, so the parent's time is for receiving, batching, acknowledging, and recording metrics or not.
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
from hanner_worker.delivery.inflight import Outcome
from hanner_worker.execution.batch import RequestResult
from hanner_worker.observability.hooks import BatchRecord
from hanner_worker.observability.metrics import MetricsObserver
from support.fakes.recogniser import FakeRecogniser
from support.ports import free_port
from support.scripted_worker import find
from support.servers import redis_server
from support.workers import worker

STATS = {"tokens": 900, "padded_tokens": 1000, "windows": 32, "tokenise": 1e-3, "infer": 0.04, "decode": 1e-3}


def measure_recording(texts, repeats=2000):
    """Return the microseconds of CPU time for recording a batch of `texts` requests."""
    observer = MetricsObserver(CollectorRegistry())
    request = SimpleNamespace(sent_at=999.0, size=SimpleNamespace(texts=1, characters=20))
    record = BatchRecord(1, [request] * texts, 1000.0, [0.01] * texts, 0.05, [RequestResult(Outcome.OK)] * texts, STATS)
    best = float("inf")
    for _ in range(5):
        started = time.process_time()
        for _ in range(repeats):
            observer.on_batch(record)
        best = min(best, time.process_time() - started)
    return best / repeats * 1e6


def measure_parent(texts, env):
    """Return the microseconds of CPU time of a worker's parent per text."""
    with (
        redis_server() as server,
        worker(server.url, "-c", "1", app="benchmarks.metrics", env=env, cold=True) as running,
        Client(server.url, timeout=300) as ner,
    ):
        ner.extract("马云")
        process = psutil.Process(running.process.pid)
        before = sum(process.cpu_times()[:2])
        for job in [ner.submit("马云在杭州") for _ in range(texts)]:
            job.result(timeout=300)
        return (sum(process.cpu_times()[:2]) - before) / texts * 1e6


def main():
    """Run both measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=4, help="rounds with and without metrics, alternating")
    options = parser.parse_args()
    for texts in (1, 32):
        cost = measure_recording(texts)
        print(f"recording a batch of {texts}: {cost:.1f} µs, {cost / texts:.2f} µs per text")
    off, on = [], []
    for _ in range(options.rounds):
        off.append(measure_parent(options.texts, {}))
        on.append(measure_parent(options.texts, {"HANNER_METRICS_PORT": str(free_port())}))
    print(f"parent, without: {statistics.median(off):.0f} µs per text ({', '.join(f'{one:.0f}' for one in off)})")
    print(f"parent, with:    {statistics.median(on):.0f} µs per text ({', '.join(f'{one:.0f}' for one in on)})")
    print(f"ratio: {statistics.median(on) / statistics.median(off):.3f}")


if __name__ == "__main__":
    main()
elif os.environ.get("HANNER_BROKER_URL"):
    fake = FakeRecogniser("fake", lambda texts: map(find, texts))
    app = make_worker_app(Settings.from_env(), load=lambda settings: fake)
