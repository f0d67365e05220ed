"""The result listener over a pretended Redis that the test leads."""

import contextlib
import json
import socket
import threading
from collections import deque
from concurrent.futures import wait
from types import SimpleNamespace

import pytest
import redis.exceptions

from hanner import BrokerUnreachable, HannerError
from hanner.transport.result_listener import ResultListener, reading_interval
from hanner.transport.subscription import key


class PretendedPubSub:
    """What the listener needs of redis-py's PubSub: a list of messages, and a socket to wait on."""

    def __init__(self, owner):
        self._owner = owner
        self._messages = deque()
        self._readable, self._ours = socket.socketpair()
        self._readable.setblocking(False)
        self._ours.setblocking(False)
        self.connection = SimpleNamespace(_sock=self._readable, can_read=lambda timeout: bool(self._messages))
        self.broken = False

    def subscribe(self, *channels):
        self._owner.note("subscribe", channels)
        if self._owner.confirms:
            for channel in channels:
                self.say("subscribe", channel, 1)

    def unsubscribe(self, *channels):
        self._owner.note("unsubscribe", channels)

    def say(self, kind, channel, data):
        self._messages.append({"type": kind, "channel": channel.encode(), "data": data})
        with contextlib.suppress(BlockingIOError):
            self._ours.send(b"!")

    def break_(self):
        self.broken = True
        self._ours.send(b"!")

    def get_message(self, timeout):
        if self.broken:
            raise redis.exceptions.ConnectionError("cut")
        if not self._messages:
            return None
        with contextlib.suppress(BlockingIOError):
            self._readable.recv(1)
        return self._messages.popleft()

    def close(self):
        self._readable.close()
        self._ours.close()


class PretendedRedis:
    def __init__(self):
        self.keys = {}
        self.opened = []
        self.confirms = True
        self.failing = 0
        self.log = []
        self._changed = threading.Condition()
        self.connection_pool = SimpleNamespace(reset=lambda: None)

    def pubsub(self):
        if self.failing:
            self.failing -= 1
            raise redis.exceptions.ConnectionError("refused")
        self.opened.append(PretendedPubSub(self))
        return self.opened[-1]

    def mget(self, keys):
        self.note("mget", keys)
        return [self.keys.get(name) for name in keys]

    def note(self, what, names):
        with self._changed:
            self.log.append((what, {name for name in names if name.startswith("celery")}))
            self._changed.notify_all()

    def wait_for(self, what, name, times=1):
        with self._changed:
            assert self._changed.wait_for(lambda: sum((what == w and name in n) for w, n in self.log) >= times, 5), (
                self.log
            )


@pytest.fixture
def pretended():
    return PretendedRedis()


@pytest.fixture
def listener(pretended):
    listener = ResultListener(pretended, where="redis://h/0", patience=0.3, reread=0.05)
    yield listener
    listener.close()


def payload(task_id, status="SUCCESS"):
    return json.dumps({"status": status, "result": task_id, "task_id": task_id}).encode()


def test_nothing_is_opened_before_something_is_awaited(pretended, listener):
    assert not pretended.opened


def test_an_announcement_resolves(pretended, listener):
    future = listener.expect("a")
    pretended.wait_for("mget", key("a"))  # subscription confirmed, key read once
    pretended.opened[0].say("message", key("a"), payload("a"))
    assert future.result(5)["result"] == "a"
    pretended.wait_for("unsubscribe", key("a"))
    assert listener.awaited == 0


def test_results_come_by_one_subscription_and_are_not_asked_for(pretended):
    listener = ResultListener(pretended, where="redis://h/0", patience=5, reread=3600)
    ids = [f"job-{number}" for number in range(500)]
    futures = [listener.expect(task_id) for task_id in ids]
    for task_id in ids:
        pretended.wait_for("mget", key(task_id))
    for task_id in ids:
        pretended.opened[0].say("message", key(task_id), payload(task_id))
    assert [future.result(10)["result"] for future in futures] == ids
    listener.close()
    assert len(pretended.opened) == 1
    read = [name for what, names in pretended.log if what == "mget" for name in names]
    assert sorted(read) == sorted(map(key, ids))  # once each, when it was subscribed


def test_the_more_are_awaited_the_longer_until_all_are_read_again():
    assert [reading_interval(1.0, awaited) for awaited in (0, 1, 1000, 10_000)] == [1.0, 1.0, 1.0, 10.0]


def test_what_was_stored_before_is_found_when_the_subscription_is_confirmed(pretended, listener):
    pretended.keys[key("a")] = payload("a")
    assert listener.expect("a").result(5)["result"] == "a"
    assert len(pretended.opened) == 1


def test_a_state_that_is_not_the_last_resolves_nothing(pretended, listener):
    future = listener.expect("a")
    pretended.wait_for("mget", key("a"))
    pretended.opened[0].say("message", key("a"), payload("a", "STARTED"))
    pretended.opened[0].say("message", key("a"), payload("a"))
    assert future.result(5)["status"] == "SUCCESS"


def test_a_missed_announcement_is_read_and_the_connection_given_up(pretended, listener):
    future = listener.expect("a")
    pretended.wait_for("mget", key("a"))
    pretended.keys[key("a")] = payload("a")
    assert future.result(5)["result"] == "a"
    other = listener.expect("b")
    pretended.wait_for("mget", key("b"))
    assert len(pretended.opened) == 2
    pretended.opened[1].say("message", key("b"), payload("b"))
    assert other.result(5)["result"] == "b"


def test_a_connection_that_confirms_nothing_is_given_up(pretended, listener):
    pretended.confirms = False
    future = listener.expect("a")
    pretended.wait_for("subscribe", key("a"))
    pretended.confirms = True
    pretended.wait_for("subscribe", key("a"), times=2)
    pretended.opened[1].say("message", key("a"), payload("a"))
    assert future.result(5)


def test_a_cut_connection_is_made_again(pretended, listener):
    future = listener.expect("a")
    pretended.wait_for("mget", key("a"))
    pretended.failing = 2
    pretended.opened[0].break_()
    pretended.wait_for("subscribe", key("a"), times=2)
    pretended.opened[1].say("message", key("a"), payload("a"))
    assert future.result(5)
    assert listener.trouble is None


def test_a_redis_that_was_never_reached_fails_those_who_wait(pretended, listener):
    pretended.failing = 10**9
    with pytest.raises(BrokerUnreachable, match="redis://h/0 does not answer: refused"):
        listener.expect("a").result(5)
    assert isinstance(listener.trouble, redis.exceptions.ConnectionError)
    pretended.failing = 0
    pretended.keys[key("b")] = payload("b")
    assert listener.expect("b").result(5)


def test_two_who_wait_for_the_same_and_one_who_goes(pretended, listener):
    first, second, third = listener.expect("a"), listener.expect("a"), listener.expect("a")
    listener.forget("a", first)
    third.cancel()
    pretended.wait_for("mget", key("a"))
    pretended.opened[0].say("message", key("a"), payload("a"))
    assert second.result(5)
    assert not first.done()
    assert third.cancelled()


def test_who_comes_back_is_subscribed_again(pretended, listener):
    future = listener.expect("a")
    pretended.wait_for("mget", key("a"))
    listener.forget("a", future)
    pretended.keys[key("a")] = payload("a")
    assert listener.expect("a").result(5)
    assert listener.awaited == 0


def test_a_payload_that_is_no_result_is_an_error(pretended, listener):
    pretended.keys[key("a")] = b"{"
    with pytest.raises(HannerError, match="no result of Celery's"):
        listener.expect("a").result(5)


def test_close_fails_those_who_wait_each_with_an_error_of_his_own(pretended, listener):
    futures = [listener.expect("a"), listener.expect("b")]
    pretended.wait_for("mget", key("b"))
    listener.close()
    wait(futures, 5)
    first, second = (future.exception() for future in futures)
    assert "closed" in str(first)
    assert first is not second
    with pytest.raises(HannerError, match="closed"):
        listener.expect("c")


def test_a_listener_that_breaks_says_so_and_starts_again(pretended, listener, caplog):
    pretended.mget = lambda keys: 1 / 0
    with pytest.raises(HannerError, match="this is a bug"):
        listener.expect("a").result(5)
    assert "the result listener stopped" in caplog.text
    del pretended.mget
    pretended.keys[key("b")] = payload("b")
    assert listener.expect("b").result(5)


def test_many_at_once_travel_together(pretended, listener):
    for number in range(1200):
        pretended.keys[key(str(number))] = payload(str(number))
    futures = [listener.expect(str(number)) for number in range(1200)]
    assert [future.result(5)["result"] for future in futures] == [str(number) for number in range(1200)]
    assert listener.awaited == 0
