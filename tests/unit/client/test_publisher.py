"""The publisher with a fake connection: batches, retries and callbacks."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,  # noqa: A004
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,  # noqa: A004
)

from hanner.errors import HannerError
from hanner.transport.publisher import (
    ALWAYS_CHECKED_BELOW,
    BATCH_BYTES,
    BATCH_MESSAGES,
    BrokerState,
    Publisher,
    QueueLimitError,
)
from support.fakes.redis import FakeRedis
from support.waiting import wait_until


@pytest.fixture
def redis():
    return FakeRedis()


@pytest.fixture
def broker():
    return BrokerState()


@pytest.fixture
def make(redis, broker):
    made = []

    def make(limit=0, timeout=60.0):
        made.append(Publisher(redis.connect, "hanner", limit=limit, timeout=timeout, broker=broker))
        return made[-1]

    yield make
    redis.gate.set()
    for publisher in made:
        publisher.close()


def test_no_connection_is_opened_before_the_first_message(redis, make):
    make()
    assert redis.opened == 0


def test_message_is_one_push_on_one_connection(redis, make):
    publisher = make()
    for number in range(3):
        publisher.publish(b"%d" % number)
    assert redis.queue == [b"0", b"1", b"2"]
    assert redis.commands == ["LPUSH"] * 3
    assert redis.opened == 1


def test_messages_ready_during_a_round_trip_are_sent_together(redis, make):
    publisher = make()
    redis.gate.clear()
    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(publisher.publish, b"first")
        assert redis.entered.wait(60)
        others = [threads.submit(publisher.publish, b"other") for _ in range(8)]
        wait_until(lambda: len(publisher._waiting) == 8)
        redis.gate.set()
        for future in (first, *others):
            future.result(60)
    assert redis.commands == ["LPUSH"] * 2
    assert redis.queue == [b"first"] + [b"other"] * 8


def test_async_messages_are_sent_together_and_call_back(redis, make):
    publisher = make()
    redis.gate.clear()
    errors, all_resolved = [], threading.Event()

    def callback(error):
        errors.append(error)
        if len(errors) == 9:
            all_resolved.set()

    publisher.publish_async(b"first", callback)
    assert redis.entered.wait(60)
    for _ in range(8):
        publisher.publish_async(b"other", callback)
    redis.gate.set()
    assert all_resolved.wait(60)
    assert errors == [None] * 9
    assert redis.commands == ["LPUSH"] * 2


def test_caller_decides_when_the_thread_is_woken(redis, make):
    publisher, calls, sent = make(), [], threading.Event()
    publisher.publish_async(b"first", lambda _: None)
    wait_until(lambda: publisher._has_messages._waiters)  # the thread has sent it, and waits
    for message in (b"a", b"b"):
        publisher.publish_async(message, lambda _: None, calls.append)
    publisher.publish_async(b"c", lambda _: sent.set(), calls.append)
    assert redis.queue == [b"first"]
    assert len(set(calls)) == 1
    calls[0]()
    assert sent.wait(60)
    assert redis.queue == [b"first", b"a", b"b", b"c"]
    assert redis.commands == ["LPUSH"] * 2


def test_batch_has_limits_of_messages_and_bytes(redis, make):
    publisher = make()
    redis.gate.clear()
    done = threading.Event()
    publisher.publish_async(b"", lambda _: None)
    assert redis.entered.wait(60)
    for _ in range(BATCH_MESSAGES + 1):
        publisher.publish_async(b"x", lambda _: None)
    for _ in range(3):
        publisher.publish_async(b"x" * BATCH_BYTES, lambda _: None)
    publisher.publish_async(b"x", lambda _: done.set())
    redis.gate.set()
    assert done.wait(60)
    assert redis.commands == ["LPUSH"] * 7  # one, 512, one, three large ones, one


def test_unsent_message_can_be_cancelled(redis, make):
    publisher = make()
    redis.gate.clear()
    sent = publisher.publish_async(b"sent", lambda _: None)
    assert redis.entered.wait(60)
    waits = publisher.publish_async(b"waits", lambda _: None)
    done = threading.Event()
    publisher.publish_async(b"last", lambda _: done.set())
    assert publisher.cancel(waits)
    assert not publisher.cancel(waits)
    assert not publisher.cancel(sent)
    redis.gate.set()
    assert done.wait(60)
    assert redis.queue == [b"sent", b"last"]


def test_full_queue_accepts_what_fits_and_rejects_the_rest(redis, make):
    publisher = make(limit=2)
    redis.gate.clear()
    errors, done = [], threading.Event()
    publisher.publish_async(b"first", errors.append)
    assert redis.entered.wait(60)
    publisher.publish_async(b"second", errors.append)
    publisher.publish_async(b"third", errors.append)
    publisher.publish_async(b"fourth", lambda error: (errors.append(error), done.set()))
    redis.gate.set()
    assert done.wait(60)
    assert redis.queue == [b"first", b"second"]
    refused = [error for error in errors if error]
    assert [type(error) for error in refused] == [QueueLimitError] * 2
    assert {error.length for error in refused} == {2}
    with pytest.raises(QueueLimitError):
        publisher.publish(b"fifth")


def test_far_below_the_limit_redis_does_not_check(redis, make):
    limit = ALWAYS_CHECKED_BELOW
    publisher = make(limit=limit)
    for _ in range(limit):
        publisher.publish(b"x")
    # The first reply has the length; from half the limit on, each message is checked in Redis.
    assert redis.commands == ["EVALSHA"] + ["LPUSH"] * (limit // 2 - 1) + ["EVALSHA"] * (limit // 2)
    with pytest.raises(QueueLimitError):
        publisher.publish(b"x")


def test_missing_script_is_sent_again(redis, make):
    redis.replies = [NoScriptError("gone")]
    publisher = make(limit=5)
    publisher.publish(b"x")
    publisher.publish(b"y")
    assert redis.commands == ["EVALSHA", "EVAL", "EVALSHA"]
    assert redis.opened == 1


def test_stale_connection_is_reopened_at_once(redis, make):
    publisher = make()
    publisher.publish(b"a")
    redis.replies = [ConnectionError("reset")]
    publisher.publish(b"b")
    assert redis.queue == [b"a", b"b"]
    assert redis.opened == 2


def test_redis_that_was_never_reached_is_not_retried(redis, make, broker):
    redis.refused = [ConnectionError("refused")] * 5
    publisher = make(timeout=60)
    with pytest.raises(ConnectionError, match="refused"):
        publisher.publish(b"a")
    assert len(redis.refused) == 4
    assert not broker.ever_connected


def test_redis_that_another_publisher_reached_is_retried(redis, make, broker):
    make().publish(b"a")
    redis.refused = [ConnectionError("refused")] * 2
    make().publish(b"b")
    assert redis.queue == [b"a", b"b"]
    assert broker.ever_connected


def test_redis_that_was_reached_before_is_retried(redis, make):
    publisher = make(timeout=60)
    publisher.publish(b"a")
    redis.replies = [ConnectionError("reset")]
    redis.refused = [ConnectionError("refused"), OSError("unreachable"), TimeoutError("no reply")]
    publisher.publish(b"b")
    assert redis.queue == [b"a", b"b"]


def test_retries_end_at_the_timeout(redis, make):
    publisher = make(timeout=0.1)
    publisher.publish(b"a")
    redis.replies = [ConnectionError("reset")]
    redis.refused = [ConnectionError("refused")] * 100
    with pytest.raises(ConnectionError, match="refused"):
        publisher.publish(b"b")
    assert len(redis.refused) > 90  # it paused in between


@pytest.mark.parametrize(
    "error", [BusyLoadingError("loading"), ReadOnlyError("replica"), ResponseError("MASTERDOWN link")]
)
def test_transient_error_is_retried(redis, make, error):
    redis.replies = [error, error]
    publisher = make(timeout=60)
    publisher.publish(b"a")
    assert redis.queue == [b"a"]


def test_connection_to_a_replica_is_reopened(redis, make):
    redis.replies = [ReadOnlyError("replica")]
    make(timeout=60).publish(b"a")
    assert redis.opened == 2


@pytest.mark.parametrize(
    "error", [AuthenticationError("no"), OutOfMemoryError("full"), ResponseError("MISCONF disk"), ValueError("bug")]
)
def test_permanent_error_is_raised_at_once(redis, make, error):
    publisher = make(timeout=60)
    publisher.publish(b"a")
    redis.replies = [error]
    with pytest.raises(type(error)):
        publisher.publish(b"b")
    publisher.publish(b"c")
    assert redis.queue == [b"a", b"c"]


def test_error_is_raised_by_all_callers_of_a_batch(redis, make):
    publisher = make()
    redis.gate.clear()
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(publisher.publish, b"first")
        assert redis.entered.wait(60)
        others = [threads.submit(publisher.publish, b"other") for _ in range(2)]
        wait_until(lambda: len(publisher._waiting) == 2)
        redis.replies = [None, OutOfMemoryError("full")]
        redis.gate.set()
        first.result(60)
        assert [type(future.exception(60)) for future in others] == [OutOfMemoryError] * 2


def test_ctrl_c_does_not_block_later_messages(redis, make):
    publisher = make()
    redis.replies = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        publisher.publish(b"a")
    publisher.publish(b"b")
    assert redis.queue == [b"b"]


def test_failing_callback_does_not_block_other_callers(redis, make, caplog):
    publisher = make()
    redis.gate.clear()
    done = threading.Event()
    publisher.publish_async(b"first", lambda _: 1 / 0)
    assert redis.entered.wait(60)
    publisher.publish_async(b"second", lambda _: 1 / 0)
    publisher.publish_async(b"third", lambda _: done.set())
    redis.gate.set()
    assert done.wait(60)
    assert caplog.text.count("a callback of a published message failed") == 2
    publisher.publish(b"fourth")
    assert redis.queue == [b"first", b"second", b"third", b"fourth"]


def test_close_fails_waiting_messages(redis, make):
    publisher = make()
    redis.gate.clear()
    errors = []
    publisher.publish_async(b"sent", errors.append)
    assert redis.entered.wait(60)
    publisher.publish_async(b"waits", errors.append)
    with ThreadPoolExecutor(1) as threads:
        closing = threads.submit(publisher.close)
        wait_until(lambda: errors)
        redis.gate.set()
        closing.result(60)
    assert isinstance(errors[0], HannerError)
    assert errors[1:] == [None]
    for call in (lambda: publisher.publish(b""), lambda: publisher.publish_async(b"", errors.append)):
        with pytest.raises(HannerError, match="closed"):
            call()


def test_close_interrupts_retries(redis, make):
    publisher = make(timeout=60)
    publisher.publish(b"a")
    redis.refused = [ConnectionError("refused")] * 1000
    redis.replies = [ConnectionError("reset")]
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(publisher.publish, b"b")
        wait_until(lambda: len(redis.refused) <= 998)
        publisher.close()
        assert isinstance(sending.exception(60), HannerError)


def test_the_time_of_redis_is_read_once(redis, make, broker):
    publisher = make()
    for _ in range(3):
        publisher.sync_clock()
    assert redis.commands == ["TIME"]
    assert 0 <= broker.clock.now() - 1000.5 < 60
    publisher.publish(b"a")
    assert redis.opened == 1


def test_reading_the_time_is_retried_while_redis_restarts(redis, make, broker):
    publisher = make()
    publisher.publish(b"a")
    redis.replies = [ConnectionError("gone"), BusyLoadingError("loading"), None]
    publisher.sync_clock()
    assert broker.clock.is_known()


def test_without_permission_for_the_time_the_machines_is_used(redis, make, broker):
    redis.replies = [NoPermissionError("no")]
    make().sync_clock()
    assert broker.clock.now() > 1e9
