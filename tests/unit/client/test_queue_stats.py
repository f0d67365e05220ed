"""Durations and errors of a full queue, without a server; see also tests/integration/test_queue_stats.py."""

import pytest

from hanner.queue.metrics import queue_metrics
from hanner.queue.stats import DEFAULT_TEXT_SECONDS, Backlog, WorkerState, queue_full_error
from hanner.utils.duration import format_duration

WORKER = WorkerState(id="w")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "1 s"),
        (0.2, "1 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (148, "2 min 28 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (7205, "2 h"),
        (90_000, "1 d 1 h"),
    ],
)
def test_duration_has_at_most_two_units(seconds, expected):
    assert format_duration(seconds) == expected


@pytest.mark.parametrize(
    ("backlog", "expected", "seconds"),
    [
        (
            Backlog(texts=900, rate=10.0, workers=(WORKER,)),
            "at 10 texts/s the workers need about 1 min 30 s for the backlog",
            90,
        ),
        (Backlog(texts=900, workers=(WORKER,)), "the workers have not reported a rate yet", None),
        (Backlog(texts=900), "no worker runs", None),
    ],
)
def test_queue_full_error_estimates_when_the_queue_drains(backlog, expected, seconds):
    error = queue_full_error("9 requests wait", backlog)
    assert str(error).startswith("the queue is full: 9 requests wait; " + expected)
    assert error.seconds == seconds


BUSY = Backlog(
    texts=1100,
    bulk_texts=1000,
    workers=(
        WorkerState(id="a", processes=2, busy=1.5, text_seconds=0.02, work_seconds=3.0, bulk_work_seconds=8.0),
        WorkerState(id="b", processes=4, busy=0.4, text_seconds=0.08, work_seconds=2.0),
        WorkerState(id="new"),  # has no measurements, and may be of an older version
    ),
)
"""Workers that need 0.01 and 0.02 s for a text with all their processes."""


def test_work_is_measured_in_seconds_of_one_worker():
    assert BUSY.work_seconds == pytest.approx(100 * 0.015 + 3.0 / 2 + 2.0 / 4)
    assert BUSY.bulk_work_seconds == pytest.approx(1000 * 0.015 + 8.0 / 2)
    assert BUSY.busy_workers == pytest.approx(1.5 / 2 + 0.4 / 4)


def test_work_without_workers_is_positive_so_that_one_is_started():
    assert Backlog(texts=2).work_seconds == 2 * DEFAULT_TEXT_SECONDS > 0
    assert Backlog().work_seconds == Backlog().bulk_work_seconds == Backlog().busy_workers == 0


def test_work_and_busy_workers_are_exported():
    values = {
        (sample.name, sample.labels.get("priority")): sample.value
        for family in queue_metrics("hanner", 0, {"": BUSY})
        for sample in family.samples
    }
    assert values["hanner_queue_work_seconds", "interactive"] == BUSY.work_seconds
    assert values["hanner_queue_work_seconds", "bulk"] == BUSY.bulk_work_seconds
    assert values["hanner_queue_workers_busy", None] == BUSY.busy_workers
