"""What a worker says of itself."""

from hanner_worker.observability.throughput import WINDOW, Meter


def test_figures_are_those_of_the_last_seconds():
    meter = Meter(started=100.0)
    meter.note(100.0, 90, 7.0)  # forgotten by then
    meter.note(100 + WINDOW, 10, 20.0)
    meter.note(101 + WINDOW, 30, 40.0)
    assert meter.figures(102 + WINDOW) == {"texts": 130, "rate": 4.0, "batch_texts": 20.0, "latency_ms": 30.0}


def test_a_worker_that_just_started_is_not_made_to_look_fast_or_slow():
    meter = Meter(started=100.0)
    meter.note(100.1, 8, 5.0)
    assert meter.figures(100.2)["rate"] == 8.0  # within its first second, as if that were over
    meter.note(103.9, 8, 5.0)
    assert meter.figures(104.0)["rate"] == 4.0


def test_an_idle_worker_has_no_rate():
    meter = Meter(started=0.0)
    meter.note(1.0, 5, 1.0)
    assert meter.figures(60.0) == {"texts": 5, "rate": 0.0, "batch_texts": 0, "latency_ms": 0}
