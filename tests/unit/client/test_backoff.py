import pytest

from hanner.utils.backoff import Backoff


def pauses(backoff, count, now=0.0):
    return [backoff.next_pause(now) for _ in range(count)]


def test_pauses_double_up_to_the_longest():
    assert pauses(Backoff(1, 10), 6) == [1, 2, 4, 8, 10, 10]


def test_immediate_first_retry():
    assert pauses(Backoff(1, 10, immediate=True), 4) == [0, 1, 2, 4]


def test_longest_limits_the_first_pause():
    assert pauses(Backoff(5, 2), 2) == [2, 2]


def test_limit_starts_at_the_first_failure():
    backoff = Backoff(1, 10, limit=3)
    assert backoff.next_pause(100.0) == 1
    assert backoff.next_pause(102.9) == pytest.approx(0.1)
    assert backoff.next_pause(103.0) is None


def test_limit_starts_when_given():
    backoff = Backoff(1, 10, limit=3, started=98.0)
    assert backoff.next_pause(100.0) == 1
    assert backoff.next_pause(101.0) is None


def test_no_pause_exceeds_the_rest_of_the_limit():
    backoff = Backoff(0.05, 1, limit=1.0)
    pauses(backoff, 5)
    assert backoff.next_pause(0.9) == pytest.approx(0.1)


def test_reset_starts_again():
    backoff = Backoff(1, 10, limit=3, immediate=True)
    assert pauses(backoff, 3) == [0, 1, 2]
    backoff.reset()
    assert pauses(backoff, 2, now=100.0) == [0, 1]
    backoff.reset(started=100.0)
    assert backoff.next_pause(103.0) is None
