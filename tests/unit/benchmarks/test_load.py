"""What drivers count, and what they do not."""

import asyncio
import itertools

import pytest

from benchmarks.end_to_end.load import LEAST, LONGEST, Span, TooFewError, open_loop, percentile, summary


def counted(times, seconds=5.0):
    span = Span(100.0, seconds)
    for time in times:
        span.note(time, ["四个字符"])
    return span


def test_only_answers_after_warm_up_count():
    times = [99.9, *(100 + 0.1 * number for number in range(60))]
    flow = counted(times).flow()
    assert (flow.texts, flow.characters, flow.seconds) == (50, 200, 5.0)
    assert flow.rate == 10


def test_burst_does_not_distort_rate():
    flow = counted([104.0 + number / 1e6 for number in range(32)]).flow()
    assert flow.rate == pytest.approx(32 / 5)


def test_too_few_answers_extend_measurement():
    span = counted([100.0 + number for number in range(LEAST)])
    assert span.flow().seconds == 10
    assert span.over(110)


def test_measurement_ends_without_answers():
    span = counted([])
    assert not span.over(100 + LONGEST / 2)
    assert span.over(101 + LONGEST)
    with pytest.raises(TooFewError):
        span.flow()


def test_percentiles_are_nearest_ranks():
    assert percentile(range(1, 101), 99) == 99
    assert percentile(range(1, 102), 99) == 100
    assert percentile([5.0], 50) == 5


def test_unanswered_requests_have_no_latency():
    found = summary([1.0] * 98 + [float("inf")] * 2)
    assert found == {"count": 100, "unanswered": 2, "p50": 1.0, "p95": 1.0, "p99": None}


def test_open_loop_does_not_wait_for_answers_and_counts_failures():
    waiting = []

    async def ask(text):
        if text == "bad":
            raise RuntimeError(text)
        waiting.append(own := asyncio.Event())
        if len(waiting) == 5:  # the fifth lets all go
            for event in waiting:
                event.set()
        await own.wait()

    texts = itertools.chain(["a"] * 5, itertools.repeat("bad"))
    times = asyncio.run(open_loop(ask, texts, rate=2000, seconds=0.05))
    assert sum(time < float("inf") for time in times) == 5
    assert len(times) > 20
