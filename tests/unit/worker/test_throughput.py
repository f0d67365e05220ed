"""The throughput that a worker reports in its heartbeat."""

import pytest

from hanner_worker.observability.throughput import WINDOW, Throughput


def test_the_snapshot_covers_the_recent_window():
    throughput = Throughput(started=100.0)
    throughput.add_batch(100.0, 90, 7.0)  # no longer recent
    throughput.add_batch(100 + WINDOW, 10, 20.0)
    throughput.add_batch(101 + WINDOW, 30, 40.0)
    assert throughput.snapshot(102 + WINDOW) == {
        "texts": 130,
        "rate": 4.0,
        "batch_texts": 20.0,
        "latency_ms": 30.0,
        "busy": 0,
        "text_seconds": 0,
    }


def test_the_rate_of_a_new_worker_uses_the_time_since_its_start():
    throughput = Throughput(started=100.0)
    throughput.add_batch(100.1, 8, 5.0)
    assert throughput.snapshot(100.2)["rate"] == 8.0  # the first second counts as a whole second
    throughput.add_batch(103.9, 8, 5.0)
    assert throughput.snapshot(104.0)["rate"] == 4.0


def test_the_rate_of_an_idle_worker_is_zero():
    throughput = Throughput(started=0.0)
    throughput.add_batch(1.0, 5, 1.0)
    idle = {"texts": 5, "rate": 0.0, "batch_texts": 0, "latency_ms": 0, "busy": 0, "text_seconds": 0}
    assert throughput.snapshot(60.0) == idle


def test_busy_is_the_mean_number_of_processes_with_interactive_batches():
    throughput = Throughput(started=0.0)
    throughput.add_batch(91.0, 10, 5.0, seconds=4.0)
    throughput.add_batch(92.0, 10, 5.0, seconds=3.0)
    throughput.add_batch(93.0, 10, 5.0, seconds=9.0, bulk=True)
    assert throughput.snapshot(95.0)["busy"] == 0.7  # 7 s in a window of 10 s
    assert throughput.snapshot(120.0)["busy"] == 0


def test_the_time_per_text_outlives_an_idle_period_and_follows_a_change():
    throughput = Throughput(started=0.0)
    assert throughput.snapshot(0.0)["text_seconds"] == 0
    throughput.add_cost(100, 0.5)
    assert throughput.snapshot(3600.0)["text_seconds"] == 0.005
    for _ in range(100):
        throughput.add_cost(100, 2.0)
    assert round(throughput.snapshot(3601.0)["text_seconds"], 3) == 0.02


def test_a_batch_that_was_faster_than_its_overhead_costs_nothing():
    throughput = Throughput(started=0.0)
    throughput.add_cost(1, -0.002)
    throughput.add_cost(1, 0.006)
    assert throughput.snapshot(2.0)["text_seconds"] == pytest.approx(0.003, rel=0.01)


def test_probes_of_an_idle_worker_do_not_replace_the_measured_cost():
    throughput = Throughput(started=0.0)
    throughput.add_cost(300, 1.5)
    for _ in range(60):
        throughput.add_cost(1, 0.03)
    assert throughput.snapshot(3600.0)["text_seconds"] < 0.01
