"""The batch scheduler: no request is lost, limits hold, and none is overtaken for longer than max_wait."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner_worker.batching.scheduler import BatchLimits, BatchScheduler, QueuedRequest, estimate_size

LIMITS = BatchLimits(tokens=2048, rows=32, padding=0.1, max_wait=0.5)


def text(key, length, arrived=0.0, *, isolated=False):
    return QueuedRequest(str(key), 1, length, arrived, isolated)


@st.composite
def items(draw):
    rows = draw(st.integers(1, 6))
    longest = draw(st.integers(2, 512))
    return rows, longest, draw(st.integers(0, 20)) / 10, draw(st.sampled_from([False, False, False, True]))


def drained(scheduler, now=0.0, idle=1):
    batches = []
    while batch := scheduler.take(now, idle):
        batches.append(batch)
    return batches


@given(st.lists(items(), max_size=60), st.integers(1, 4), st.floats(0, 3))
def test_every_request_is_batched_once_and_limits_hold(drawn, idle, now):
    scheduler = BatchScheduler(LIMITS)
    waiting = [QueuedRequest(str(n), *values) for n, values in enumerate(drawn)]
    for item in waiting:
        scheduler.add(item)
    batches = drained(scheduler, now, idle)
    assert sorted(i.key for b in batches for i in b) == sorted(i.key for i in waiting)
    assert len(scheduler) == 0
    for batch in batches:
        if len(batch) > 1:
            longest, rows = max(i.longest for i in batch), sum(i.rows for i in batch)
            assert LIMITS.allow(longest, rows, sum(i.area for i in batch))
            assert not any(i.isolated for i in batch)


@given(st.lists(items(), min_size=1, max_size=60), st.floats(0.5, 3))
def test_an_overdue_oldest_is_in_the_next_batch(drawn, now):
    scheduler = BatchScheduler(LIMITS)
    waiting = {str(n): QueuedRequest(str(n), *values) for n, values in enumerate(drawn)}
    for item in waiting.values():
        scheduler.add(item)
    while waiting:
        first = min(item.arrived for item in waiting.values())
        batch = scheduler.take(now)
        if now - first >= LIMITS.max_wait and not batch[0].isolated:
            assert min(item.arrived for item in batch) == min(i.arrived for i in waiting.values() if not i.isolated)
        for item in batch:
            del waiting[item.key]


@given(st.data())
def test_no_request_is_overtaken_for_longer_than_max_wait(data):
    """One process, batches of 100 ms, arrivals at every step: an overdue oldest request is in the next batch."""
    scheduler, number, queued = BatchScheduler(LIMITS), 0, {}
    for step in range(30):
        now = step / 10
        for length in data.draw(st.lists(st.integers(2, 512), max_size=40)):
            queued[str(number)] = now
            scheduler.add(text(number, length, now))
            number += 1
        oldest = min(queued.values(), default=now)
        batch = scheduler.take(now)
        if now - oldest >= LIMITS.max_wait:
            assert oldest in {item.arrived for item in batch}
        for item in batch:
            del queued[item.key]


def test_a_single_text_is_sent_at_once_to_an_idle_process_only():
    scheduler = BatchScheduler(LIMITS)
    scheduler.add(text("a", 16))
    assert scheduler.take(0.0, idle=0) == []
    assert [item.key for item in scheduler.take(0.0, idle=1)] == ["a"]
    assert scheduler.take(0.0, idle=1) == []


def test_queued_requests_are_divided_among_idle_processes():
    scheduler = BatchScheduler(LIMITS)
    for n in range(10):
        scheduler.add(text(n, 50))
    assert len(scheduler.take(0.0, idle=2)) == 5
    assert len(scheduler.take(0.0, idle=1)) == 5


def test_a_request_over_the_limits_is_a_batch_of_its_own():
    scheduler = BatchScheduler(LIMITS)
    scheduler.add(QueuedRequest("article", 40, 512, 0.0))
    scheduler.add(text("line", 512, 0.1))
    batches = drained(scheduler, 9.0)
    assert [[item.key for item in batch] for batch in batches] == [["article"], ["line"]]


def test_short_windows_of_a_request_do_not_count_as_padding():
    scheduler = BatchScheduler(LIMITS)
    for key in "ab":
        scheduler.add(QueuedRequest(key, 2, 20, 0.0))  # for example a text of 20 and one of 10
    assert len(scheduler.take(0.0)) == 2


def test_a_key_is_queued_once():
    scheduler = BatchScheduler(LIMITS)
    scheduler.add(text("a", 16))
    with pytest.raises(ValueError, match="is queued already"):
        scheduler.add(text("a", 17))


@pytest.mark.parametrize("seen", [1000, 256], ids=["all at once", "as much as is prefetched"])
def test_a_thousand_mixed_texts_need_few_batches_with_little_padding(seen):
    rng = random.Random(7)
    lengths = [min(510, max(1, round(rng.lognormvariate(3.7, 0.9)))) + 2 for _ in range(1000)]
    scheduler, queue, batches = BatchScheduler(LIMITS), [text(n, length) for n, length in enumerate(lengths)], []
    while queue or len(scheduler):
        while queue and len(scheduler) < seen:
            scheduler.add(queue.pop())
        batches.append(scheduler.take(0.0))
    tokens = sum(lengths)
    cost = sum(max(i.longest for i in batch) * len(batch) for batch in batches)
    assert (cost - tokens) / cost < 0.1
    bound = max(tokens / LIMITS.tokens, 1000 / LIMITS.rows)  # no way of batching needs fewer
    assert len(batches) < 2 * bound


def test_taking_is_one_pass_over_thousands_of_requests():
    """The number of candidates is the number of queued requests."""
    scheduler = BatchScheduler(LIMITS)
    for n in range(4000):
        scheduler.add(text(n, n % 510 + 2, n / 1e6))
    assert sum(1 for _ in scheduler._candidates(LIMITS, None)) == 4000
    assert sum(1 for _ in scheduler._candidates(LIMITS, 2000)) <= 2 * LIMITS.rows


@pytest.mark.parametrize(
    ("texts", "size"),
    [
        (["马云在杭州"], (1, 1, 7)),
        ([""], (1, 1, 2)),
        ([], (0, 1, 2)),
        ([17, None], (2, 2, 2)),
        (["字" * 1000], (1, 2, 512)),
        (["字" * 510, "字"], (2, 2, 512)),
    ],
)
def test_estimate_size(texts, size):
    estimated = estimate_size(texts, 512)
    assert (estimated.texts, estimated.rows, estimated.longest) == size
