"""Durations and errors of a full queue, without a server; see also tests/integration/test_queue_stats.py."""

import pytest

from hanner.queue.stats import Backlog, WorkerState, queue_full_error
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
