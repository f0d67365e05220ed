"""The publisher against a pretended connection: what travels together, what is tried again, what is told to whom."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,  # noqa: A004
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,  # noqa: A004
)

from hanner.errors import HannerError
from hanner.transport.pending import FullError
from hanner.transport.publisher import BATCH_BYTES, BATCH_MESSAGES, SMALL, Publisher, Reach
from support.fakes.redis import FakeRedis


@pytest.fixture
def redis():
    return FakeRedis()


@pytest.fixture
def reach():
    return Reach()


@pytest.fixture
def make(redis, reach):
    made = []

    def make(limit=0, patience=1.0):
        made.append(Publisher(redis.connect, "hanner", limit=limit, patience=patience, reach=reach))
        return made[-1]

    yield make
    redis.gate.set()
    for publisher in made:
        publisher.close()


def test_nothing_is_opened_before_the_first_message(redis, make):
    make()
    assert redis.opened == 0


def test_a_message_is_one_push_on_one_connection(redis, make):
    publisher = make()
    for number in range(3):
        publisher.put(b"%d" % number)
    assert redis.queue == [b"0", b"1", b"2"]
    assert redis.commands == ["LPUSH"] * 3
    assert redis.opened == 1


def test_what_comes_during_a_round_trip_travels_together(redis, make):
    publisher = make()
    redis.gate.clear()
    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(publisher.put, b"first")
        assert redis.entered.wait(10)
        others = [threads.submit(publisher.put, b"other") for _ in range(8)]
        while len(publisher._waiting) < 8:
            pass
        redis.gate.set()
        for future in (first, *others):
            future.result(10)
    assert redis.commands == ["LPUSH"] * 2
    assert redis.queue == [b"first"] + [b"other"] * 8


def test_posted_messages_travel_together_and_are_told_of(redis, make):
    publisher = make()
    redis.gate.clear()
    told, all_told = [], threading.Event()

    def tell(error):
        told.append(error)
        if len(told) == 9:
            all_told.set()

    publisher.post(b"first", tell)
    assert redis.entered.wait(10)
    for _ in range(8):
        publisher.post(b"other", tell)
    redis.gate.set()
    assert all_told.wait(10)
    assert told == [None] * 9
    assert redis.commands == ["LPUSH"] * 2


def test_a_round_trip_takes_only_so_much(redis, make):
    publisher = make()
    redis.gate.clear()
    done = threading.Event()
    publisher.post(b"", lambda _: None)
    assert redis.entered.wait(10)
    for _ in range(BATCH_MESSAGES + 1):
        publisher.post(b"x", lambda _: None)
    for _ in range(3):
        publisher.post(b"x" * BATCH_BYTES, lambda _: None)
    publisher.post(b"x", lambda _: done.set())
    redis.gate.set()
    assert done.wait(10)
    assert redis.commands == ["LPUSH"] * 7  # one, 512, one, three large ones, one


def test_what_is_not_sent_yet_can_be_withdrawn(redis, make):
    publisher = make()
    redis.gate.clear()
    sent = publisher.post(b"sent", lambda _: None)
    assert redis.entered.wait(10)
    waits = publisher.post(b"waits", lambda _: None)
    done = threading.Event()
    publisher.post(b"last", lambda _: done.set())
    assert publisher.withdraw(waits)
    assert not publisher.withdraw(waits)
    assert not publisher.withdraw(sent)
    redis.gate.set()
    assert done.wait(10)
    assert redis.queue == [b"sent", b"last"]


def test_a_full_queue_takes_what_fits_and_refuses_the_rest(redis, make):
    publisher = make(limit=2)
    redis.gate.clear()
    told, done = [], threading.Event()
    publisher.post(b"first", told.append)
    assert redis.entered.wait(10)
    publisher.post(b"second", told.append)
    publisher.post(b"third", told.append)
    publisher.post(b"fourth", lambda error: (told.append(error), done.set()))
    redis.gate.set()
    assert done.wait(10)
    assert redis.queue == [b"first", b"second"]
    refused = [error for error in told if error]
    assert [type(error) for error in refused] == [FullError] * 2
    assert {error.length for error in refused} == {2}
    with pytest.raises(FullError):
        publisher.put(b"fifth")


def test_far_below_the_limit_redis_need_not_look(redis, make):
    publisher = make(limit=SMALL)
    for _ in range(SMALL):
        publisher.put(b"x")
    # The first tells the length; from the half on each is checked in Redis.
    assert redis.commands == ["EVALSHA"] + ["LPUSH"] * (SMALL // 2 - 1) + ["EVALSHA"] * (SMALL // 2)
    with pytest.raises(FullError):
        publisher.put(b"x")


def test_a_script_that_is_gone_is_sent_again(redis, make):
    redis.replies = [NoScriptError("gone")]
    publisher = make(limit=5)
    publisher.put(b"x")
    publisher.put(b"y")
    assert redis.commands == ["EVALSHA", "EVAL", "EVALSHA"]
    assert redis.opened == 1


def test_a_connection_that_died_since_is_made_again_at_once(redis, make):
    publisher = make()
    publisher.put(b"a")
    redis.replies = [ConnectionError("reset")]
    publisher.put(b"b")
    assert redis.queue == [b"a", b"b"]
    assert redis.opened == 2


def test_a_redis_that_was_never_reached_is_given_up_at_once(redis, make, reach):
    redis.refused = [ConnectionError("refused")] * 5
    publisher = make(patience=60)
    with pytest.raises(ConnectionError, match="refused"):
        publisher.put(b"a")
    assert len(redis.refused) == 4
    assert not reach.there


def test_a_redis_that_another_publisher_reached_is_waited_for(redis, make, reach):
    make().put(b"a")
    redis.refused = [ConnectionError("refused")] * 2
    make().put(b"b")
    assert redis.queue == [b"a", b"b"]
    assert reach.there


def test_a_redis_that_was_reached_before_is_waited_for(redis, make):
    publisher = make(patience=60)
    publisher.put(b"a")
    redis.replies = [ConnectionError("reset")]
    redis.refused = [ConnectionError("refused"), OSError("unreachable"), TimeoutError("silent")]
    publisher.put(b"b")
    assert redis.queue == [b"a", b"b"]


def test_patience_ends(redis, make):
    publisher = make(patience=0.1)
    publisher.put(b"a")
    redis.replies = [ConnectionError("reset")]
    redis.refused = [ConnectionError("refused")] * 100
    with pytest.raises(ConnectionError, match="refused"):
        publisher.put(b"b")
    assert len(redis.refused) > 90  # it paused in between


@pytest.mark.parametrize(
    "error", [BusyLoadingError("loading"), ReadOnlyError("replica"), ResponseError("MASTERDOWN link")]
)
def test_what_passes_by_itself_is_waited_for(redis, make, error):
    redis.replies = [error, error]
    publisher = make(patience=60)
    publisher.put(b"a")
    assert redis.queue == [b"a"]


def test_a_replica_is_left_for_whoever_is_master_now(redis, make):
    redis.replies = [ReadOnlyError("replica")]
    make(patience=60).put(b"a")
    assert redis.opened == 2


@pytest.mark.parametrize(
    "error", [AuthenticationError("no"), OutOfMemoryError("full"), ResponseError("MISCONF disk"), ValueError("bug")]
)
def test_what_does_not_pass_is_raised_at_once(redis, make, error):
    publisher = make(patience=60)
    publisher.put(b"a")
    redis.replies = [error]
    with pytest.raises(type(error)):
        publisher.put(b"b")
    publisher.put(b"c")
    assert redis.queue == [b"a", b"c"]


def test_everyone_along_is_told_of_an_error(redis, make):
    publisher = make()
    redis.gate.clear()
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(publisher.put, b"first")
        assert redis.entered.wait(10)
        others = [threads.submit(publisher.put, b"other") for _ in range(2)]
        while len(publisher._waiting) < 2:
            pass
        redis.replies = [None, OutOfMemoryError("full")]
        redis.gate.set()
        first.result(10)
        assert [type(future.exception(10)) for future in others] == [OutOfMemoryError] * 2


def test_ctrl_c_leaves_nobody_waiting(redis, make):
    publisher = make()
    redis.replies = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        publisher.put(b"a")
    publisher.put(b"b")
    assert redis.queue == [b"b"]


def test_a_caller_who_cannot_be_told_does_not_keep_it_from_the_others(redis, make, caplog):
    publisher = make()
    redis.gate.clear()
    done = threading.Event()
    publisher.post(b"first", lambda _: 1 / 0)
    assert redis.entered.wait(10)
    publisher.post(b"second", lambda _: 1 / 0)
    publisher.post(b"third", lambda _: done.set())
    redis.gate.set()
    assert done.wait(10)
    assert caplog.text.count("could not be told") == 2
    publisher.put(b"fourth")
    assert redis.queue == [b"first", b"second", b"third", b"fourth"]


def test_closing_refuses_what_waits(redis, make):
    publisher = make()
    redis.gate.clear()
    told = []
    publisher.post(b"sent", told.append)
    assert redis.entered.wait(10)
    publisher.post(b"waits", told.append)
    with ThreadPoolExecutor(1) as threads:
        closing = threads.submit(publisher.close)
        while not told:
            pass
        redis.gate.set()
        closing.result(10)
    assert isinstance(told[0], HannerError)
    assert told[1:] == [None]
    for call in (lambda: publisher.put(b""), lambda: publisher.post(b"", told.append)):
        with pytest.raises(HannerError, match="closed"):
            call()


def test_closing_ends_the_waiting_for_a_redis_that_is_away(redis, make):
    publisher = make(patience=60)
    publisher.put(b"a")
    redis.refused = [ConnectionError("refused")] * 1000
    redis.replies = [ConnectionError("reset")]
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(publisher.put, b"b")
        while len(redis.refused) > 998:
            pass
        publisher.close()
        assert isinstance(sending.exception(10), HannerError)
