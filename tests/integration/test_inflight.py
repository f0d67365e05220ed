"""The in-flight messages of a worker, script by script, on a real server."""

import pytest
import redis

from hanner_worker.delivery.inflight import Outcome
from hanner_worker.delivery.scripts import FETCH
from support.dead_letters import add_dead_letter
from support.inflight import (
    claim,
    completed,
    expire_lease,
    fetch,
    letters,
    make_inflight,
    make_lease_old,
    payload,
    push,
    queued,
)
from support.waiting import wait_until

RESULT = "celery-task-meta-{}".format


def unacked(client, inflight):
    messages = client.hvals(inflight.keys.unacked(inflight.worker_id))
    return sorted(raw.decode().removeprefix("message of ") for raw in messages)


def test_messages_are_fetched_in_order_and_are_in_flight_from_then_on(client, inflight):
    push(client, "a", "b", "c")
    first = fetch(client, inflight, 2)
    assert [raw for _, raw in first.messages] == [b"message of a", b"message of b"]
    assert queued(client) == ["c"]
    assert unacked(client, inflight) == ["a", "b"]
    assert client.zcard(inflight.keys.claimed_at(inflight.worker_id)) == 2
    assert client.zscore(inflight.keys.leases, inflight.worker_id) > 0  # a worker with messages has a lease
    assert first.crashed_tasks == 0


def test_lists_are_emptied_in_the_order_given(client, inflight):
    push(client, "low", queue="hanner:9")
    push(client, "high")
    push(client, "other", queue="other")
    lists = ["hanner", "other", "hanner:9"]
    assert [tag[16:] for tag, _ in fetch(client, inflight, 2, lists).messages] == ["hanner", "other"]
    assert [tag[16:] for tag, _ in fetch(client, inflight, 5, lists).messages] == ["hanner:9"]


def test_a_worker_fetches_its_share_and_leaves_the_other_workers_theirs(client, inflight):
    other = make_inflight()
    for worker in (inflight, other):
        worker.heartbeat(client, {})
    push(client, *map(str, range(10)))
    assert len(fetch(client, inflight).messages) == 5
    assert len(fetch(client, other).messages) == 3
    assert len(fetch(client, inflight, 1).messages) == 1
    assert not fetch(client, inflight, round_up=False).messages  # the last one is for an idle worker
    assert len(fetch(client, other).messages) == 1


def test_an_empty_queue_gives_no_messages_and_no_lease(client, inflight):
    assert fetch(client, inflight).messages == []
    assert not client.keys("*")


def test_a_flushed_script_is_sent_again(client, inflight):
    push(client, "a", "b")
    assert fetch(client, inflight, 1).messages
    client.script_flush()
    assert fetch(client, inflight, 1).messages


def test_messages_are_requeued_to_the_lists_they_came_from_in_their_order(client, inflight):
    push(client, "x", queue="hanner:9")
    push(client, *map(str, range(30)))
    fetched = fetch(client, inflight, 21, ["hanner:9", "hanner"])
    keep = fetched.messages[5][0]
    assert inflight.requeue(client, [keep]) == 20
    assert queued(client, "hanner:9") == ["x"]
    assert queued(client) == [str(n) for n in range(30) if n != 4]
    assert unacked(client, inflight) == ["4"]


def test_thousands_of_messages_are_fetched_and_requeued(client, inflight):
    ids = [str(n) for n in range(9000)]
    push(client, *ids)
    wait_until(lambda: not fetch(client, inflight).messages)
    assert len(unacked(client, inflight)) == 9000
    assert inflight.requeue(client) == 9000
    assert queued(client) == ids


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's own
def test_the_start_of_a_batch_finds_fenced_and_answered_requests(client, backend, inflight):
    requests = [payload(id_, tag) for id_, tag in zip("abcde", claim(client, inflight, *"abcde"), strict=True)]
    a, b, c, d, e = (request.tag for request in requests)
    backend.store_result("b", 1, "SUCCESS")
    inflight.ack(client, [c], [], [])
    client.set(RESULT("d"), "not a result")
    backend.store_result("e", ValueError("no"), "FAILURE")
    assert inflight.start(backend, requests) == [
        (Outcome.OK, ""),
        (Outcome.ALREADY_ANSWERED, "SUCCESS"),
        (Outcome.FENCED, ""),
        (Outcome.OK, "UNREADABLE"),
        (Outcome.ALREADY_ANSWERED, "FAILURE"),
    ]
    running = client.hgetall(inflight.keys.running(inflight.worker_id))
    assert running == {tag.encode(): id_ for tag, id_ in ((a, b"a"), (b, b"b"), (d, b"d"), (e, b"e"))}


def test_a_completion_stores_announces_and_acknowledges_in_one_step(client, backend, inflight):
    (tag,) = claim(client, inflight, "a")
    inflight.start(backend, [payload("a", tag)])
    client.hset(inflight.keys.crashes, mapping={"a": 1, "other": 1})
    assert inflight.complete(backend, [completed("a", tag, "answer")]) == [Outcome.OK]
    assert backend.get_result("a") == "answer"
    assert 0 < client.ttl(RESULT("a")) <= 77
    left = [RESULT("a").encode(), inflight.keys.leases.encode(), inflight.keys.crashes.encode()]
    assert sorted(client.keys("*")) == sorted(left)
    assert client.hkeys(inflight.keys.crashes) == [b"other"]


def test_a_dead_letter_contains_the_raw_message(client, backend, inflight):
    raw = b'{"a": "\xe9\xa9\xac\\u4e91/\x01", "n": 1e400}'
    client.lpush("hanner", raw)
    ((tag, _),) = fetch(client, inflight).messages
    letter = {"id": "a", "task": "t", "code": "worker_lost", "reason": "it died", "crashes": 3, "at": 12.5}
    completion = completed("a", tag, ValueError(), Outcome.FAILED, dead_letter=letter)
    assert inflight.complete(backend, [completion]) == [Outcome.FAILED]
    assert letters(client, inflight.keys) == [letter | {"message": raw.decode(), "list": "hanner"}]
    assert client.zscore(inflight.keys.dead_index, "a") == 12.5


def test_a_request_has_ended_if_its_result_is_stored_and_its_message_is_not_in_flight(client, backend, inflight):
    ids = ["ended", "failed", "running", "taken", "started"]
    tags = claim(client, inflight, *ids)
    failed = completed("failed", tags[1], ValueError(), Outcome.FAILED)
    inflight.complete(backend, [completed("ended", tags[0]), failed])
    client.set(RESULT("running"), backend.encode({"status": "SUCCESS"}))  # its message is still in flight
    client.set(RESULT("started"), backend.encode({"status": "STARTED"}))
    inflight.ack(client, tags[4:], ids[4:], tags[3:4])
    assert inflight.ended_states(backend, tags, ids) == ["SUCCESS", "FAILURE", "", "", ""]
    assert inflight.ended_states(backend, [], []) == []


def test_a_result_without_expiry_is_kept(client, backend, inflight):
    backend.expires = None
    (tag,) = claim(client, inflight, "a")
    inflight.complete(backend, [completed("a", tag)])
    assert client.ttl(RESULT("a")) == -1


def test_crashes_are_counted_only_for_owned_messages(client, backend, inflight):
    a, b = claim(client, inflight, "a", "b")
    inflight.start(backend, [payload("a", a), payload("b", b)])
    assert inflight.count_crashes(client, [a, b], ["a", "b"]) == [1, 1]
    assert not client.exists(inflight.keys.running(inflight.worker_id))
    inflight.ack(client, [b], ["b"], [])
    assert inflight.count_crashes(client, [a, b], ["a", "b"]) == [2, None]
    assert inflight.crash_counts(client, ["a", "b"]) == [2, 0]
    push(client, "c")
    assert fetch(client, inflight).crashed_tasks == 1


def test_messages_of_an_expired_worker_are_requeued_and_crashes_counted(client, backend, inflight):
    dead = make_inflight()
    one, two = claim(client, dead, "one", "two")
    dead.start(backend, [payload("two", two)])
    dead.heartbeat(client, {"host": "h"})
    make_lease_old(client, inflight)
    assert inflight.heartbeat(client, {}).expired_workers == []  # not while it is alive
    expire_lease(client, dead)
    result = inflight.heartbeat(client, {})
    assert (result.expired_workers, result.requeued) == ([dead.worker_id], 2)
    assert queued(client) == ["one", "two"]
    assert client.hgetall(inflight.keys.crashes) == {b"two": b"1"}
    assert not client.keys(f"*{dead.worker_id}")
    assert client.zrange(inflight.keys.leases, 0, -1) == [inflight.worker_id.encode()]
    # The expired worker continues after a pause: it is fenced.
    completions = [completed("one", one), completed("two", two)]
    assert dead.complete(backend, completions) == [Outcome.FENCED, Outcome.FENCED]
    dead.ack(client, [one], ["one"], [two])
    assert queued(client) == ["one", "two"]
    assert not client.exists(RESULT("one"), RESULT("two"))


def dead_letter_ids(client, inflight):
    """Return the ids of the dead letters, oldest first; their index has the same ones."""
    ids = [task_id.decode() for task_id in client.zrange(inflight.keys.dead_index, 0, -1)]
    assert sorted(ids) == sorted(task_id.decode() for task_id in client.hkeys(inflight.keys.dead))
    return ids


def test_oldest_dead_letters_above_the_maximum_are_deleted(client):
    inflight = make_inflight(max_dead_letters=1000)
    for number in range(2200):
        add_dead_letter(client, f"{number:04}", at=1000.0 + number)
    assert inflight.heartbeat(client, {}).too_many == 1200
    assert dead_letter_ids(client, inflight) == [f"{number:04}" for number in range(1200, 2200)]
    result = inflight.heartbeat(client, {})
    assert (result.too_old, result.too_many) == (0, 0)


def test_dead_letters_above_the_maximum_age_are_deleted(client):
    inflight = make_inflight(dead_letter_ttl=60)
    seconds, _ = client.time()
    for number in range(700):
        add_dead_letter(client, f"old {number}", at=seconds - 100.0)
    add_dead_letter(client, "new", at=seconds - 30.0)
    result = inflight.heartbeat(client, {})
    assert (result.too_old, result.too_many) == (700, 0)
    assert dead_letter_ids(client, inflight) == ["new"]


def test_dead_letters_are_kept_without_limits(client):
    inflight = make_inflight(max_dead_letters=0, dead_letter_ttl=0)
    add_dead_letter(client, "a", at=1.0)
    inflight.heartbeat(client, {})
    assert dead_letter_ids(client, inflight) == ["a"]


def test_a_worker_with_an_interrupted_lease_expires_no_other(client, inflight):
    other = make_inflight()
    claim(client, other, "a")
    make_lease_old(client, inflight)
    for worker in (inflight, other):  # Redis was paused, or its clock jumped
        expire_lease(client, worker)
    assert inflight.heartbeat(client, {}).expired_workers == []
    assert other.heartbeat(client, {}).expired_workers == []
    assert unacked(client, other) == ["a"]


def test_a_lease_does_not_last_long_after_the_clock_was_set_back(client, inflight):
    other = make_inflight()
    claim(client, other, "a")
    seconds, _ = client.time()
    client.zadd(inflight.keys.leases, {other.worker_id: (seconds + 3600) * 1000})
    inflight.heartbeat(client, {})
    assert client.zscore(inflight.keys.leases, other.worker_id) <= (seconds + 6) * 1000


def test_messages_that_exceed_the_visibility_timeout_and_do_not_run_are_requeued(client, backend):
    inflight = make_inflight(visibility_timeout=1000)
    forgotten, running = claim(client, inflight, "forgotten", "running")
    inflight.start(backend, [payload("running", running)])
    assert inflight.heartbeat(client, {}).overdue == 0
    seconds, _ = client.time()
    claimed_at = dict.fromkeys([forgotten, running], (seconds - 1001) * 1000)
    client.zadd(inflight.keys.claimed_at(inflight.worker_id), claimed_at)
    assert inflight.heartbeat(client, {}).overdue == 1
    assert queued(client) == ["forgotten"]
    assert unacked(client, inflight) == ["running"]


def test_a_worker_publishes_its_status_until_it_deregisters(client, inflight):
    claim(client, inflight, "a", "b")
    inflight.heartbeat(client, {"host": "celery@h", "pid": 7, "rate": 1.5})
    status = client.hgetall(inflight.keys.worker(inflight.worker_id))
    assert status.keys() == {b"handled", b"host", b"pid", b"rate", b"since", b"unacked"}
    assert (status[b"host"], status[b"pid"], status[b"rate"], status[b"unacked"]) == (b"celery@h", b"7", b"1.5", b"2")
    assert 60 < client.ttl(inflight.keys.worker(inflight.worker_id)) <= 65
    assert inflight.deregister(client) == 2
    assert queued(client) == ["a", "b"]
    assert sorted(client.keys("*")) == [b"hanner", b"hanner:queues"]  # the queue stays known


@pytest.fixture
def fill_memory(client):
    yield lambda: client.config_set("maxmemory", "1kb")
    client.config_set("maxmemory", "0")


def test_every_script_works_when_the_memory_is_full(client, backend, inflight, fill_memory):
    other = make_inflight()
    a, b, _ = claim(client, inflight, "a", "b", "c")
    claim(client, other, "d")
    push(client, "e")
    make_lease_old(client, inflight)
    expire_lease(client, other)
    fill_memory()
    with pytest.raises(redis.OutOfMemoryError):
        client.lpush("hanner", "f")
    assert inflight.start(backend, [payload("a", a)]) == [(Outcome.OK, "")]
    assert inflight.complete(backend, [completed("a", a)]) == [Outcome.OK]
    assert inflight.count_crashes(client, [b], ["b"]) == [1]
    assert inflight.heartbeat(client, {}).requeued == 1
    assert [raw for _, raw in fetch(client, inflight).messages] == [b"takeovers 1\nmessage of d"]
    assert [raw for _, raw in fetch(client, inflight).messages] == [b"message of e"]
    assert inflight.deregister(client) == 4


def test_the_sha_of_a_script_is_the_one_redis_computes(client):
    assert client.script_load(FETCH.script) == FETCH.sha
