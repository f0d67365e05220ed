"""The throughput that a worker reports in its heartbeat."""

from hanner_worker.observability.throughput import WINDOW, Throughput


def test_the_snapshot_covers_the_recent_window():
    throughput = Throughput(started=100.0)
    throughput.add_batch(100.0, 90, 7.0)  # no longer recent
    throughput.add_batch(100 + WINDOW, 10, 20.0)
    throughput.add_batch(101 + WINDOW, 30, 40.0)
    assert throughput.snapshot(102 + WINDOW) == {"texts": 130, "rate": 4.0, "batch_texts": 20.0, "latency_ms": 30.0}


def test_the_rate_of_a_new_worker_uses_the_time_since_its_start():
    throughput = Throughput(started=100.0)
    throughput.add_batch(100.1, 8, 5.0)
    assert throughput.snapshot(100.2)["rate"] == 8.0  # the first second counts as a whole second
    throughput.add_batch(103.9, 8, 5.0)
    assert throughput.snapshot(104.0)["rate"] == 4.0


def test_the_rate_of_an_idle_worker_is_zero():
    throughput = Throughput(started=0.0)
    throughput.add_batch(1.0, 5, 1.0)
    assert throughput.snapshot(60.0) == {"texts": 5, "rate": 0.0, "batch_texts": 0, "latency_ms": 0}
