"""Measurements, percentiles and loops of the load generators."""

import asyncio
import itertools

import pytest

from benchmarks.end_to_end.load import (
    MAX_SECONDS,
    MIN_RESULTS,
    Measurement,
    TooFewResultsError,
    open_loop,
    percentile,
    summary,
)


def measure(times, seconds=5.0):
    measurement = Measurement(100.0, seconds)
    for time in times:
        measurement.count(time, ["四个字符"])
    return measurement


def test_only_answers_after_warm_up_count():
    times = [99.9, *(100 + 0.1 * number for number in range(60))]
    throughput = measure(times).throughput()
    assert (throughput.texts, throughput.characters, throughput.seconds) == (50, 200, 5.0)
    assert throughput.rate == 10


def test_burst_does_not_distort_rate():
    throughput = measure([104.0 + number / 1e6 for number in range(32)]).throughput()
    assert throughput.rate == pytest.approx(32 / 5)


def test_too_few_answers_extend_measurement():
    measurement = measure([100.0 + number for number in range(MIN_RESULTS)])
    assert measurement.throughput().seconds == 10
    assert measurement.is_over(110)


def test_measurement_ends_without_answers():
    measurement = measure([])
    assert not measurement.is_over(100 + MAX_SECONDS / 2)
    assert measurement.is_over(101 + MAX_SECONDS)
    with pytest.raises(TooFewResultsError):
        measurement.throughput()


def test_percentiles_are_nearest_ranks():
    assert percentile(range(1, 101), 99) == 99
    assert percentile(range(1, 102), 99) == 100
    assert percentile([5.0], 50) == 5


def test_unanswered_requests_have_no_latency():
    result = summary([1.0] * 98 + [float("inf")] * 2)
    assert result == {"count": 100, "unanswered": 2, "p50": 1.0, "p95": 1.0, "p99": None}


def test_open_loop_does_not_wait_for_answers_and_counts_failures():
    waiting = []

    async def send(text):
        if text == "bad":
            raise RuntimeError(text)
        waiting.append(own := asyncio.Event())
        if len(waiting) == 5:  # the fifth releases all
            for event in waiting:
                event.set()
        await own.wait()

    texts = itertools.chain(["a"] * 5, itertools.repeat("bad"))
    times = asyncio.run(open_loop(send, texts, rate=2000, seconds=0.05))
    assert sum(time < float("inf") for time in times) == 5
    assert len(times) > 20
