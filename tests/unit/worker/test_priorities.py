"""Interactive and bulk requests: interactive ones are first, and bulk ones do not starve."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner_worker.batching.scheduler import BULK_EVERY, BatchLimits, BatchScheduler, QueuedRequest

LIMITS = BatchLimits(tokens=2048, rows=4, seconds=0.05)


def item(key, *, bulk, tokens=20, arrived=0.0, isolated=False):
    return QueuedRequest(str(key), 1, tokens, arrived, isolated, bulk)


drawn = st.tuples(st.booleans(), st.integers(2, 512), st.integers(0, 20).map(lambda n: n / 10), st.booleans())


@given(st.lists(drawn, max_size=60), st.integers(1, 4))
def test_every_request_is_batched_once_and_no_batch_mixes_priorities(values, idle):
    scheduler = BatchScheduler(LIMITS)
    queued = [
        item(n, bulk=bulk, tokens=tokens, arrived=arrived, isolated=isolated)
        for n, (bulk, tokens, arrived, isolated) in enumerate(values)
    ]
    for one in queued:
        scheduler.add(one)
    batches = []
    while batch := scheduler.take(idle, idle):
        batches.append(batch)
    assert sorted(i.key for b in batches for i in b) == sorted(i.key for i in queued)
    assert all(len({i.bulk for i in batch}) == 1 for batch in batches)
    assert len(scheduler) == 0


def test_interactive_request_preempts_queued_bulk():
    scheduler = BatchScheduler(LIMITS)
    for n in range(1000):
        scheduler.add(item(n, bulk=True))
    assert all(i.bulk for i in scheduler.take())
    scheduler.add(item("page", bulk=False, arrived=9.0))
    assert [i.key for i in scheduler.take()] == ["page"]
    assert all(i.bulk for i in scheduler.take())


@given(st.lists(st.booleans(), min_size=20, max_size=60))
def test_single_interactive_requests_do_not_wait_for_queued_bulk_batches(comes):
    """At most one arrives per batch: each is in the very next batch."""
    scheduler, number = BatchScheduler(LIMITS), 0
    for n in range(60 * LIMITS.rows):
        scheduler.add(item(f"bulk{n}", bulk=True))
    row = 0
    for coming in comes:
        if coming and row < BULK_EVERY:
            number += 1
            scheduler.add(item(number, bulk=False))
            assert [i.key for i in scheduler.take()] == [str(number)]
            row += 1
        else:
            assert all(i.bulk for i in scheduler.take())
            row = 0


def test_bulk_does_not_starve_under_endless_interactive_requests():
    scheduler = BatchScheduler(LIMITS)
    for n in range(1000):
        scheduler.add(item(f"text{n}", bulk=False))
        scheduler.add(item(f"bulk{n}", bulk=True))
    kinds = [scheduler.take()[0].bulk for _ in range(10 * (BULK_EVERY + 1))]
    assert kinds == ([False] * BULK_EVERY + [True]) * 10


def test_batches_in_a_row_count_only_while_bulk_is_queued():
    scheduler = BatchScheduler(LIMITS)
    for n in range(100):
        scheduler.add(item(n, bulk=False))
    for _ in range(BULK_EVERY + 5):
        assert not scheduler.take()[0].bulk
    scheduler.add(item("bulk", bulk=True))
    assert [scheduler.take()[0].bulk for _ in range(BULK_EVERY + 1)] == [False] * BULK_EVERY + [True]


def test_an_isolated_bulk_request_is_after_interactive_ones_too():
    scheduler = BatchScheduler(LIMITS)
    scheduler.add(item("suspect", bulk=True, isolated=True))
    scheduler.add(item("page", bulk=False))
    assert [i.key for i in scheduler.take()] == ["page"]
    assert [i.key for i in scheduler.take()] == ["suspect"]


def test_interactive_waits_while_interactive_requests_are_queued():
    scheduler = BatchScheduler(LIMITS)
    scheduler.add(item("bulk", bulk=True))
    assert not scheduler.interactive_waits()
    scheduler.add(item("page", bulk=False))
    assert scheduler.interactive_waits()
    scheduler.take()
    assert not scheduler.interactive_waits()


def test_nothing_is_taken_without_an_idle_process_or_after_clear():
    scheduler = BatchScheduler(LIMITS)
    scheduler.add(item("bulk", bulk=True))
    scheduler.add(item("page", bulk=False))
    assert scheduler.take(0) == []
    assert "page" in scheduler
    assert len(scheduler) == 2
    scheduler.clear()
    assert scheduler.take() == []


def test_a_key_is_queued_once_in_either_priority():
    scheduler = BatchScheduler(LIMITS)
    scheduler.add(item("a", bulk=True))
    with pytest.raises(ValueError, match="is queued already"):
        scheduler.add(item("a", bulk=False))
