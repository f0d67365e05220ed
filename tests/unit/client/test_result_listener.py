"""The result listener with a fake Redis that the test controls."""

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
from hanner.queue.keys import result_key
from hanner.transport.result_listener import ResultListener, reread_interval
from support.waiting import DEADLINE, wait_until


class FakePubSub:
    """The part of redis-py's PubSub that the listener uses: a list of messages, and a socket to select on."""

    def __init__(self, owner):
        self._owner = owner
        self._messages = deque()
        self._readable, self._ours = socket.socketpair()
        self._readable.setblocking(False)
        self._ours.setblocking(False)
        self.connection = SimpleNamespace(_sock=self._readable, can_read=lambda timeout: bool(self._messages))
        self.broken = False

    def subscribe(self, *channels):
        self._owner.record("subscribe", channels)
        if self._owner.confirms:
            for channel in channels:
                self.deliver("subscribe", channel, 1)

    def unsubscribe(self, *channels):
        self._owner.record("unsubscribe", channels)

    def deliver(self, kind, channel, data):
        self._messages.append({"type": kind, "channel": channel.encode(), "data": data})
        with contextlib.suppress(BlockingIOError):
            self._ours.send(b"!")

    def disconnect(self):
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


class FakeRedis:
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
        self.opened.append(FakePubSub(self))
        return self.opened[-1]

    def mget(self, keys):
        self.record("mget", keys)
        return [self.keys.get(name) for name in keys]

    def record(self, what, names):
        with self._changed:
            self.log.append((what, {name for name in names if name.startswith("celery")}))
            self._changed.notify_all()

    def wait_for(self, what, name, times=1):
        with self._changed:
            assert self._changed.wait_for(lambda: sum((what == w and name in n) for w, n in self.log) >= times, 60), (
                self.log
            )


@pytest.fixture
def fake_redis():
    return FakeRedis()


@pytest.fixture
def listener(fake_redis):
    listener = ResultListener(fake_redis, url="redis://h/0", timeout=0.3, reread=0.05)
    yield listener
    listener.close()


def payload(task_id, status="SUCCESS"):
    return json.dumps({"status": status, "result": task_id, "task_id": task_id}).encode()


def test_no_connection_is_opened_before_the_first_subscription(fake_redis, listener):
    assert not fake_redis.opened


def test_published_result_resolves_the_future(fake_redis, listener):
    future = listener.subscribe("a")
    fake_redis.wait_for("mget", result_key("a"))  # subscription confirmed, key read once
    fake_redis.opened[0].deliver("message", result_key("a"), payload("a"))
    assert future.result(60)["result"] == "a"
    fake_redis.wait_for("unsubscribe", result_key("a"))
    assert listener.subscribed_count == 0


def test_published_results_are_not_read_again(fake_redis):
    listener = ResultListener(fake_redis, url="redis://h/0", timeout=5, reread=3600)
    ids = [f"job-{number}" for number in range(500)]
    futures = [listener.subscribe(task_id) for task_id in ids]
    for task_id in ids:
        fake_redis.wait_for("mget", result_key(task_id))
    for task_id in ids:
        fake_redis.opened[0].deliver("message", result_key(task_id), payload(task_id))
    assert [future.result(60)["result"] for future in futures] == ids
    listener.close()
    assert len(fake_redis.opened) == 1
    read = [name for what, names in fake_redis.log if what == "mget" for name in names]
    assert sorted(read) == sorted(map(result_key, ids))  # once each, when it was subscribed


def test_reread_interval_grows_with_the_number_of_keys():
    assert [reread_interval(1.0, awaited) for awaited in (0, 1, 1000, 10_000)] == [1.0, 1.0, 1.0, 10.0]


def test_result_stored_before_the_subscription_is_read(fake_redis, listener):
    fake_redis.keys[result_key("a")] = payload("a")
    assert listener.subscribe("a").result(60)["result"] == "a"
    assert len(fake_redis.opened) == 1


def test_intermediate_state_does_not_resolve_the_future(fake_redis, listener):
    future = listener.subscribe("a")
    fake_redis.wait_for("mget", result_key("a"))
    fake_redis.opened[0].deliver("message", result_key("a"), payload("a", "STARTED"))
    fake_redis.opened[0].deliver("message", result_key("a"), payload("a"))
    assert future.result(60)["status"] == "SUCCESS"


def test_unpublished_result_is_read_and_the_connection_replaced(fake_redis, listener):
    future = listener.subscribe("a")
    fake_redis.wait_for("mget", result_key("a"))
    fake_redis.keys[result_key("a")] = payload("a")
    assert future.result(60)["result"] == "a"
    other = listener.subscribe("b")
    fake_redis.wait_for("mget", result_key("b"))
    assert len(fake_redis.opened) == 2
    fake_redis.opened[1].deliver("message", result_key("b"), payload("b"))
    assert other.result(60)["result"] == "b"


def test_connection_without_confirmations_is_replaced(fake_redis, listener):
    fake_redis.confirms = False
    future = listener.subscribe("a")
    fake_redis.wait_for("subscribe", result_key("a"))
    fake_redis.confirms = True
    fake_redis.wait_for("subscribe", result_key("a"), times=2)
    fake_redis.opened[1].deliver("message", result_key("a"), payload("a"))
    assert future.result(60)


def test_broken_connection_is_replaced(fake_redis, listener):
    future = listener.subscribe("a")
    fake_redis.wait_for("mget", result_key("a"))
    fake_redis.failing = 2
    fake_redis.opened[0].disconnect()
    fake_redis.wait_for("subscribe", result_key("a"), times=2)
    fake_redis.opened[1].deliver("message", result_key("a"), payload("a"))
    assert future.result(60)
    assert listener.last_error is None


def test_redis_that_was_never_reached_fails_all_futures(fake_redis, listener):
    fake_redis.failing = 10**9
    with pytest.raises(BrokerUnreachable, match="redis://h/0 does not answer: refused"):
        listener.subscribe("a").result(60)
    assert isinstance(listener.last_error, redis.exceptions.ConnectionError)
    fake_redis.failing = 0
    fake_redis.keys[result_key("b")] = payload("b")
    assert listener.subscribe("b").result(60)


def test_several_callers_wait_for_one_result(fake_redis, listener):
    first, second, third = listener.subscribe("a"), listener.subscribe("a"), listener.subscribe("a")
    listener.unsubscribe("a", first)
    third.cancel()
    fake_redis.wait_for("mget", result_key("a"))
    fake_redis.opened[0].deliver("message", result_key("a"), payload("a"))
    assert second.result(60)
    assert not first.done()
    assert third.cancelled()


def test_unsubscribed_id_can_be_subscribed_again(fake_redis, listener):
    future = listener.subscribe("a")
    fake_redis.wait_for("mget", result_key("a"))
    listener.unsubscribe("a", future)
    fake_redis.keys[result_key("a")] = payload("a")
    assert listener.subscribe("a").result(60)
    assert listener.subscribed_count == 0


def test_invalid_payload_fails_the_future(fake_redis, listener):
    fake_redis.keys[result_key("a")] = b"{"
    with pytest.raises(HannerError, match="not a Celery result"):
        listener.subscribe("a").result(60)


def test_close_fails_each_future_with_its_own_error(fake_redis, listener):
    futures = [listener.subscribe("a"), listener.subscribe("b")]
    fake_redis.wait_for("mget", result_key("b"))
    listener.close()
    wait(futures, DEADLINE)
    first, second = (future.exception() for future in futures)
    assert "closed" in str(first)
    assert first is not second
    with pytest.raises(HannerError, match="closed"):
        listener.subscribe("c")


def test_bug_in_the_thread_is_reported_and_the_thread_restarts(fake_redis, listener, caplog):
    fake_redis.mget = lambda keys: 1 / 0
    with pytest.raises(HannerError, match="this is a bug"):
        listener.subscribe("a").result(60)
    assert "the result listener stopped" in caplog.text
    del fake_redis.mget
    fake_redis.keys[result_key("b")] = payload("b")
    assert listener.subscribe("b").result(60)


def test_many_ids_are_subscribed_together(fake_redis, listener):
    for number in range(1200):
        fake_redis.keys[result_key(str(number))] = payload(str(number))
    futures = [listener.subscribe(str(number)) for number in range(1200)]
    assert [future.result(60)["result"] for future in futures] == [str(number) for number in range(1200)]
    assert listener.subscribed_count == 0


def own_channel(listener):
    return f"hanner:replies:{listener.replies}"


def test_results_on_the_own_channel_need_no_subscription(fake_redis):
    listener = ResultListener(fake_redis, url="redis://h/0", timeout=DEADLINE, reread=3600)
    fake_redis.confirms = False
    first, second = listener.subscribe("a", replied=True), listener.subscribe("b", replied=True)
    wait_until(lambda: fake_redis.opened)
    fake_redis.opened[0].deliver("subscribe", own_channel(listener), 1)
    for task_id in "ab":  # they may have been answered before the subscription
        fake_redis.wait_for("mget", result_key(task_id))
    third = listener.subscribe("c", replied=True)
    replies = b"\n".join([payload("b"), b"{", payload("unknown"), payload("c"), payload("a")])
    fake_redis.opened[0].deliver("message", own_channel(listener), replies)
    assert [future.result(60)["result"] for future in (first, second, third)] == ["a", "b", "c"]
    assert listener.subscribed_count == 0
    listener.close()
    names = {name for what, each in fake_redis.log if what in {"subscribe", "unsubscribe"} for name in each}
    assert not names
    read = [name for what, each in fake_redis.log if what == "mget" for name in each]
    assert result_key("c") not in read


def test_awaiting_a_reply_wakes_a_thread_that_waits_for_nothing_else(fake_redis, listener):
    fake_redis.keys[result_key("a")] = payload("a")
    assert listener.subscribe("a", replied=True).result(60)
    wait_until(lambda: listener._is_parked)
    fake_redis.keys[result_key("b")] = payload("b")  # its reply is lost
    assert listener.subscribe("b", replied=True).result(60)


def test_lost_reply_is_read_and_the_connection_replaced(fake_redis, listener):
    future = listener.subscribe("a", replied=True)
    fake_redis.wait_for("mget", result_key("a"))
    fake_redis.opened[0].deliver("message", own_channel(listener), payload("a"))
    assert future.result(60)
    other = listener.subscribe("b", replied=True)
    fake_redis.keys[result_key("b")] = payload("b")
    assert other.result(60)["result"] == "b"
    third = listener.subscribe("c", replied=True)
    fake_redis.wait_for("mget", result_key("c"))
    assert len(fake_redis.opened) == 2
    fake_redis.opened[1].deliver("message", own_channel(listener), payload("c"))
    assert third.result(60)["result"] == "c"


def test_request_that_another_client_revoked_is_read(fake_redis, listener):
    future = listener.subscribe("a", replied=True)
    fake_redis.wait_for("mget", result_key("a"))
    fake_redis.keys[result_key("a")] = payload("a", "REVOKED")
    assert future.result(60)["status"] == "REVOKED"
    assert listener.replies is not None
    assert len(fake_redis.opened) == 1


def test_results_of_workers_that_do_not_reply_are_received_on_the_channels_of_their_tasks(fake_redis, listener):
    future, pending = listener.subscribe("a", replied=True), listener.subscribe("b", replied=True)
    fake_redis.wait_for("mget", result_key("a"))
    fake_redis.keys[result_key("a")] = payload("a")
    assert future.result(60)
    fake_redis.wait_for("subscribe", result_key("b"))
    assert listener.replies is None
    third = listener.subscribe("c", replied=True)
    fake_redis.wait_for("subscribe", result_key("c"))
    for task_id in "bc":
        fake_redis.opened[1].deliver("message", result_key(task_id), payload(task_id))
    assert pending.result(60)["result"] == "b"
    assert third.result(60)["result"] == "c"


def test_connection_without_confirmation_of_the_own_channel_is_replaced(fake_redis, listener):
    fake_redis.confirms = False
    future = listener.subscribe("a", replied=True)
    fake_redis.wait_for("mget", result_key("a"), times=2)  # read again until the timeout has passed
    fake_redis.confirms = True
    wait_until(lambda: len(fake_redis.opened) >= 2)
    fake_redis.opened[1].deliver("message", own_channel(listener), payload("a"))
    assert future.result(60)


def test_channel_of_a_forked_child_is_its_own(listener):
    before = listener.replies
    listener.reset_after_fork()
    assert listener.replies != before
