"""What is said of a full queue, without a server; the rest is in tests/integration/test_backlog.py."""

import pytest

from hanner.queue.stats import Backlog, WorkerState, duration, full

WORKER = WorkerState(id="w")


@pytest.mark.parametrize(
    ("seconds", "said"),
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
def test_durations_have_two_units_at_most(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("backlog", "said", "seconds"),
    [
        (
            Backlog(texts=900, rate=10.0, workers=(WORKER,)),
            "at 10 texts/s the workers need about 1 min 30 s",
            90,
        ),
        (Backlog(texts=900, workers=(WORKER,)), "the workers have not said yet how fast they are", None),
        (Backlog(texts=900), "no worker runs", None),
    ],
)
def test_a_full_queue_says_what_to_expect(backlog, said, seconds):
    error = full("9 requests wait", backlog)
    assert str(error).startswith("the queue is full: 9 requests wait; " + said)
    assert error.seconds == seconds
