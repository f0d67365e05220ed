"""Interactive requests and bulk ones: who goes first, and that nobody starves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanner_worker.batching.lanes import BULK_EVERY, PriorityScheduler
from hanner_worker.batching.scheduler import BatchLimits, QueuedRequest

LIMITS = BatchLimits(tokens=2048, rows=4, padding=0.1, max_wait=0.5)


def item(key, *, bulk, length=20, arrived=0.0, alone=False):
    return QueuedRequest(str(key), 1, length, arrived, alone, bulk)


drawn = st.tuples(st.booleans(), st.integers(2, 512), st.integers(0, 20).map(lambda n: n / 10), st.booleans())


@given(st.lists(drawn, max_size=60), st.integers(1, 4), st.floats(0, 3))
@settings(deadline=None)
def test_every_item_leaves_once_and_no_batch_mixes(values, free, now):
    lanes = PriorityScheduler(LIMITS)
    waiting = [
        item(n, bulk=bulk, length=length, arrived=arrived, alone=alone)
        for n, (bulk, length, arrived, alone) in enumerate(values)
    ]
    for one in waiting:
        lanes.add(one)
    batches = []
    while batch := lanes.take(now, free):
        batches.append(batch)
    assert sorted(i.key for b in batches for i in b) == sorted(i.key for i in waiting)
    assert all(len({i.bulk for i in batch}) == 1 for batch in batches)
    assert len(lanes) == 0


def test_a_text_passes_all_bulk_ones_that_wait_however_old():
    lanes = PriorityScheduler(LIMITS)
    for n in range(1000):
        lanes.add(item(n, bulk=True))
    assert all(i.bulk for i in lanes.take(9.0))
    lanes.add(item("page", bulk=False, arrived=9.0))
    assert [i.key for i in lanes.take(9.0)] == ["page"]
    assert all(i.bulk for i in lanes.take(9.0))


@given(st.lists(st.booleans(), min_size=50, max_size=200))
@settings(deadline=None)
def test_texts_that_come_singly_never_wait_for_a_bulk_batch_that_has_not_begun(comes):
    """At most one comes per batch, as from people: each is in the very next batch."""
    lanes, number = PriorityScheduler(LIMITS), 0
    for n in range(1000):
        lanes.add(item(f"bulk{n}", bulk=True))
    row = 0
    for coming in comes:
        if coming and row < BULK_EVERY:
            number += 1
            lanes.add(item(number, bulk=False))
            assert [i.key for i in lanes.take(0.0)] == [str(number)]
            row += 1
        else:
            assert all(i.bulk for i in lanes.take(0.0))
            row = 0


def test_bulk_gets_its_turn_where_interactive_ones_never_end():
    lanes = PriorityScheduler(LIMITS)
    for n in range(1000):
        lanes.add(item(f"text{n}", bulk=False))
        lanes.add(item(f"bulk{n}", bulk=True))
    kinds = [lanes.take(0.0)[0].bulk for _ in range(10 * (BULK_EVERY + 1))]
    assert kinds == ([False] * BULK_EVERY + [True]) * 10


def test_turns_count_only_while_bulk_waits():
    lanes = PriorityScheduler(LIMITS)
    for n in range(100):
        lanes.add(item(n, bulk=False))
    for _ in range(BULK_EVERY + 5):
        assert not lanes.take(0.0)[0].bulk
    lanes.add(item("bulk", bulk=True))
    assert [lanes.take(0.0)[0].bulk for _ in range(BULK_EVERY + 1)] == [False] * BULK_EVERY + [True]


def test_a_suspect_of_the_bulk_queue_goes_after_texts_too():
    lanes = PriorityScheduler(LIMITS)
    lanes.add(item("suspect", bulk=True, alone=True))
    lanes.add(item("page", bulk=False))
    assert [i.key for i in lanes.take(0.0)] == ["page"]
    assert [i.key for i in lanes.take(0.0)] == ["suspect"]


def test_nothing_leaves_without_a_free_process_or_after_clear():
    lanes = PriorityScheduler(LIMITS)
    lanes.add(item("bulk", bulk=True))
    lanes.add(item("page", bulk=False))
    assert lanes.take(0.0, 0) == []
    assert "page" in lanes
    assert len(lanes) == 2
    lanes.clear()
    assert lanes.take(0.0) == []


def test_a_key_waits_once_in_either_lane():
    lanes = PriorityScheduler(LIMITS)
    lanes.add(item("a", bulk=True))
    with pytest.raises(ValueError, match="waits already"):
        lanes.add(item("a", bulk=False))
