import pytest

from hanner.errors import QueueFull
from hanner.utils.backoff import FIRST_PAUSE, LONGEST_PAUSE, Backoff

ERROR = QueueFull("full")


def test_pauses_grow_up_to_the_longest():
    slowdown = Backoff(None)
    pauses = [slowdown.pause(ERROR, 0.0) for _ in range(10)]
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE


def test_patience_counts_from_the_first_refusal():
    slowdown = Backoff(1.0)
    slowdown.pause(ERROR, 10.0)
    slowdown.pause(ERROR, 10.9)
    with pytest.raises(QueueFull, match="full"):
        slowdown.pause(ERROR, 11.0)


def test_no_pause_is_longer_than_what_is_left_of_the_patience():
    slowdown = Backoff(1.0)
    for _ in range(5):
        slowdown.pause(ERROR, 0.0)
    assert slowdown.pause(ERROR, 0.9) == pytest.approx(0.1)


def test_progress_begins_anew():
    slowdown = Backoff(1.0)
    slowdown.pause(ERROR, 0.0)
    slowdown.pause(ERROR, 0.5)
    slowdown.progress()
    assert slowdown.pause(ERROR, 100.0) == FIRST_PAUSE
