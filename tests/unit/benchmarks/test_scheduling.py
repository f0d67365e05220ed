"""The simulation of the scheduler: what the documentation claims about the ratios."""

from argparse import Namespace
from statistics import mean

import pytest

from benchmarks import scheduling

OPTIONS = Namespace(processes=2, batch_ms=50.0)


def p99(times):
    return sorted(times)[int(len(times) * 0.99)]


@pytest.mark.parametrize("size", ["bundled", "base"])
def test_at_80_percent_load_p99_is_at_most_three_full_batches(size):
    worker = scheduling.make_worker(OPTIONS, size)
    rate = scheduling.capacity(worker, scheduling.like_msra, scheduling.WINDOW[size], 2000)
    full = mean(worker.durations[len(worker.durations) // 2 :])
    worker = scheduling.make_worker(OPTIONS, size)
    scheduling.random_arrivals(worker, scheduling.like_msra, rate * 0.8, 2000)
    assert len(worker.latencies[False]) == 2000
    assert p99(worker.latencies[False]) < 3 * full


@pytest.mark.parametrize(("size", "limit"), [("bundled", 0.1), ("base", 0.4)])
def test_interruptions_bound_the_latency_beside_bulk(size, limit):
    latencies = []
    for interrupts in (True, False):
        worker = scheduling.make_worker(OPTIONS, size, interrupts=interrupts)
        scheduling.beside_bulk(worker, scheduling.like_msra, 2.0, 200)
        assert worker.latencies[True]
        latencies.append(p99(worker.latencies[False]))
    assert latencies[0] < min(limit, latencies[1] / 3)
