"""Requests with an ETA wait in Redis, not in a worker: the scripts on a real server."""

from hanner_worker.delivery.inflight import Outcome
from support.inflight import claim, fetch, make_inflight, push, queued


def redis_time(client):
    seconds, micros = client.time()
    return seconds + micros / 1e6


def scheduled(client, inflight):
    return {task_id.decode(): due for task_id, due in client.zrange(inflight.keys.scheduled, 0, -1, withscores=True)}


def test_a_scheduled_message_is_in_no_worker_and_comes_back_to_its_list_when_due(client, backend, inflight):
    push(client, "later", queue="hanner.bulk")
    ((tag, _),) = fetch(client, inflight, lists=["hanner.bulk"]).messages
    due = redis_time(client) + 600
    assert inflight.schedule(backend, [(tag, "later", due)]) == [(Outcome.OK, "")]
    assert list(scheduled(client, inflight)) == ["later"]
    assert client.hlen(inflight.keys.unacked(inflight.worker_id)) == 0
    assert client.zcard(inflight.keys.claimed_at(inflight.worker_id)) == 0
    early = fetch(client, inflight)
    assert early.messages == []
    assert abs(early.next_due - due) < 0.01
    client.zadd(inflight.keys.scheduled, {"later": redis_time(client)}, xx=True)  # 600 seconds later
    assert fetch(client, inflight, lists=["hanner"]).next_due is None
    assert queued(client, "hanner.bulk") == ["later"]
    assert not client.exists(inflight.keys.scheduled, inflight.keys.scheduled_messages)


def test_due_messages_are_fetched_in_the_order_of_their_times_before_others(client, backend, inflight):
    a, b = claim(client, inflight, "a", "b")
    push(client, "waiting")
    inflight.schedule(backend, [(a, "a", 2.0), (b, "b", 1.0)])
    order = [raw for _, raw in fetch(client, make_inflight(), 10).messages]
    assert order == [b"message of b", b"message of a", b"message of waiting"]


def test_many_due_messages_are_moved_in_steps(client, backend, inflight):
    tags = claim(client, inflight, *(str(n) for n in range(250)))
    inflight.schedule(backend, [(tag, str(n), 1.0) for n, tag in enumerate(tags)])
    assert len(fetch(client, inflight).messages) == 100
    assert len(fetch(client, inflight).messages) == 100
    assert len(fetch(client, inflight).messages) == 50


def test_a_message_that_the_worker_no_longer_owns_is_not_scheduled(client, backend, inflight):
    (tag,) = claim(client, inflight, "a")
    inflight.requeue(client)
    assert inflight.schedule(backend, [(tag, "a", redis_time(client) + 60)]) == [(Outcome.FENCED, "")]
    assert queued(client) == ["a"]
    assert not scheduled(client, inflight)


def test_the_schedule_keeps_one_message_of_a_task(client, backend, inflight):
    first, second = claim(client, inflight, "a", "b")
    inflight.schedule(backend, [(first, "same", redis_time(client) + 60), (second, "same", 1.0)])
    assert [raw for _, raw in fetch(client, inflight).messages] == [b"message of b"]
    assert not scheduled(client, inflight)


def test_scheduled_messages_outlive_their_worker(client, backend, inflight):
    (tag,) = claim(client, inflight, "a")
    inflight.schedule(backend, [(tag, "a", redis_time(client) + 60)])
    inflight.deregister(client)
    assert list(scheduled(client, inflight)) == ["a"]


def test_a_fetch_reports_the_time_of_redis(client, inflight):
    before = redis_time(client)
    assert before - 0.001 <= fetch(client, inflight).now <= redis_time(client)
