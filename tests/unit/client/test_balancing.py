"""The choice of an address for a request, of several."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner.queue.routing import Destination, Priority
from hanner.transport.balancing import FULL_FOR, AddressState, choose

TEXT = Destination("hanner", Priority.INTERACTIVE)
BULK = Destination("hanner", Priority.BULK)


def state(waiting=0, *, worker=None, down=False, awaited=0):
    known = AddressState(is_down=down, awaited=awaited)
    known.lengths["hanner"] = waiting
    if worker is not None:
        known.has_worker["hanner"] = worker
    return known


def chosen(*states, destination=TEXT, now=100.0, turn=0, tried=()):
    return choose(states, destination, now=now, turn=turn, tried=frozenset(tried))


@pytest.mark.parametrize(
    ("states", "best"),
    [
        ([state(5), state(2), state(3)], 1),
        ([state(5), state(2, down=True)], 0),
        ([state(5, worker=True), state(2, worker=False)], 0),
        ([state(5, worker=True), state(2)], 1),
        ([state(5, worker=False), state(2, worker=False)], 1),
        ([state(5, worker=False), state(2, worker=True, down=True)], 0),
        ([state(5, down=True), state(2, down=True)], 1),
    ],
)
def test_fewest_waiting_requests_of_those_that_are_up_and_have_a_worker(states, best):
    assert chosen(*states) == best


def test_awaited_requests_count():
    assert chosen(state(5), state(2, awaited=4)) == 0


def test_each_list_has_its_own_length():
    assert chosen(state(5), state(2), destination=BULK, turn=0) == 0


def test_equal_addresses_take_turns():
    assert [chosen(state(), state(), state(), turn=turn) for turn in range(6)] == [0, 1, 2, 0, 1, 2]


def test_requests_that_are_being_sent_count_until_the_length_is_known():
    first, second = state(), state()
    for turn in range(4):
        (first, second)[chosen(first, second, turn=0)].count_sent(TEXT)
        assert sum(each.lengths["hanner"] for each in (first, second)) == turn + 1
    assert first.lengths == second.lengths == {"hanner": 2}
    first.mark_up({"hanner": 0}, {})
    assert chosen(first, second, turn=1) == 0


def test_full_queue_is_avoided_for_a_second():
    full, other = state(0), state(9)
    full.mark_full(TEXT, 100.0)
    assert chosen(full, other, now=100.0 + FULL_FOR / 2) == 1
    assert chosen(full, other, now=100.0 + FULL_FOR / 2, destination=BULK) == 0
    assert chosen(full, other, now=100.0 + FULL_FOR) == 0


def test_check_that_succeeds_makes_an_address_up():
    known = state(5, down=True)
    known.mark_up({"hanner": 3}, {"hanner": True})
    assert (known.is_down, known.lengths, known.has_worker) == (False, {"hanner": 3}, {"hanner": True})


ANY_STATE = st.builds(state, st.integers(0, 9), worker=st.sampled_from([None, True, False]), down=st.booleans())
STATES = st.lists(ANY_STATE, min_size=1, max_size=5)


@given(states=STATES, turn=st.integers(0, 99))
def test_every_address_is_tried_once_and_those_that_are_up_first(states, turn):
    order = []
    while (number := chosen(*states, turn=turn, tried=order)) is not None:
        order.append(number)
    assert sorted(order) == list(range(len(states)))
    assert [states[number].is_down for number in order] == sorted(each.is_down for each in states)
