"""The batching policy: nobody is lost, budgets hold, nobody is overtaken for too long."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanner_worker.batching.estimate import estimate
from hanner_worker.batching.scheduler import BatchLimits, BatchScheduler, QueuedRequest

LIMITS = BatchLimits(tokens=2048, rows=32, padding=0.1, max_wait=0.5)


def text(key, length, arrived=0.0, *, alone=False):
    return QueuedRequest(str(key), 1, length, arrived, alone)


@st.composite
def items(draw):
    rows = draw(st.integers(1, 6))
    longest = draw(st.integers(2, 512))
    return rows, longest, draw(st.integers(0, 20)) / 10, draw(st.sampled_from([False, False, False, True]))


def drained(policy, now=0.0, free=1):
    batches = []
    while batch := policy.take(now, free):
        batches.append(batch)
    return batches


@given(st.lists(items(), max_size=60), st.integers(1, 4), st.floats(0, 3))
@settings(deadline=None)
def test_every_item_leaves_exactly_once_and_budgets_hold(drawn, free, now):
    policy = BatchScheduler(LIMITS)
    waiting = [QueuedRequest(str(n), *values) for n, values in enumerate(drawn)]
    for item in waiting:
        policy.add(item)
    batches = drained(policy, now, free)
    assert sorted(i.key for b in batches for i in b) == sorted(i.key for i in waiting)
    assert len(policy) == 0
    for batch in batches:
        if len(batch) > 1:
            longest, rows = max(i.longest for i in batch), sum(i.rows for i in batch)
            assert LIMITS.allow(longest, rows, sum(i.area for i in batch))
            assert not any(i.alone for i in batch)


@given(st.lists(items(), min_size=1, max_size=60), st.floats(0.5, 3))
@settings(deadline=None)
def test_an_overdue_oldest_is_in_the_next_batch(drawn, now):
    policy = BatchScheduler(LIMITS)
    waiting = {str(n): QueuedRequest(str(n), *values) for n, values in enumerate(drawn)}
    for item in waiting.values():
        policy.add(item)
    while waiting:
        first = min(item.arrived for item in waiting.values())
        batch = policy.take(now)
        if now - first >= LIMITS.max_wait and not batch[0].alone:
            assert min(item.arrived for item in batch) == min(i.arrived for i in waiting.values() if not i.alone)
        for item in batch:
            del waiting[item.key]


@given(st.data())
@settings(deadline=None)
def test_nobody_is_overtaken_for_longer_than_max_wait(data):
    """One process, batches of 100 ms, arrivals at every step: the oldest goes as soon as it is overdue."""
    policy, number = BatchScheduler(LIMITS), 0
    for step in range(30):
        now = step / 10
        for length in data.draw(st.lists(st.integers(2, 512), max_size=40)):
            policy.add(text(number, length, now))
            number += 1
        oldest = min((item.arrived for item in policy), default=now)
        batch = policy.take(now)
        if now - oldest >= LIMITS.max_wait:
            assert oldest in {item.arrived for item in batch}


def test_a_lone_text_leaves_at_once_and_only_to_a_free_process():
    policy = BatchScheduler(LIMITS)
    policy.add(text("a", 16))
    assert policy.take(0.0, free=0) == []
    assert [item.key for item in policy.take(0.0, free=1)] == ["a"]
    assert policy.take(0.0, free=1) == []


def test_what_waits_is_shared_among_free_processes():
    policy = BatchScheduler(LIMITS)
    for n in range(10):
        policy.add(text(n, 50))
    assert len(policy.take(0.0, free=2)) == 5
    assert len(policy.take(0.0, free=1)) == 5


def test_a_request_over_the_budget_goes_by_itself():
    policy = BatchScheduler(LIMITS)
    policy.add(QueuedRequest("article", 40, 512, 0.0))
    policy.add(text("line", 512, 0.1))
    batches = drained(policy, 9.0)
    assert [[item.key for item in batch] for batch in batches] == [["article"], ["line"]]


def test_a_request_of_unlike_texts_shares_a_batch_with_its_like():
    policy = BatchScheduler(LIMITS)
    for key in "ab":
        policy.add(QueuedRequest(key, 2, 20, 0.0))  # say a text of 20 and one of 10
    assert len(policy.take(0.0)) == 2


def test_a_key_waits_once():
    policy = BatchScheduler(LIMITS)
    policy.add(text("a", 16))
    with pytest.raises(ValueError, match="waits already"):
        policy.add(text("a", 17))


@pytest.mark.parametrize("seen", [1000, 256], ids=["all at once", "as much as is prefetched"])
def test_a_thousand_mixed_texts_leave_in_few_batches_with_little_padding(seen):
    rng = random.Random(7)
    lengths = [min(510, max(1, round(rng.lognormvariate(3.7, 0.9)))) + 2 for _ in range(1000)]
    policy, queue, batches = BatchScheduler(LIMITS), [text(n, length) for n, length in enumerate(lengths)], []
    while queue or len(policy):
        while queue and len(policy) < seen:
            policy.add(queue.pop())
        batches.append(policy.take(0.0))
    tokens = sum(lengths)
    cost = sum(max(i.longest for i in batch) * len(batch) for batch in batches)
    assert (cost - tokens) / cost < 0.1
    bound = max(tokens / LIMITS.tokens, 1000 / LIMITS.rows)  # no way of batching needs fewer
    assert len(batches) < 2 * bound


def test_choosing_stays_fast_with_thousands_waiting():
    """Work per decision is one pass: the number of windows looked at is the number of items."""
    policy = BatchScheduler(LIMITS)
    for n in range(4000):
        policy.add(text(n, n % 510 + 2, n / 1e6))
    assert sum(1 for _ in policy._windows(LIMITS, None)) == 4000
    assert sum(1 for _ in policy._windows(LIMITS, 2000)) <= 2 * LIMITS.rows


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
def test_estimate(texts, size):
    guess = estimate(texts, 512)
    assert (guess.texts, guess.rows, guess.longest) == size
