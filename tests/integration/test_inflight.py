"""What a worker holds, step by step, against a real server."""

import pytest
import redis

from hanner_worker.delivery.inflight import End
from hanner_worker.delivery.scripts import TAKE
from support.ledgers import hold, letters, make_ledger, push, queued, take


def held(client, ledger):
    return sorted(raw.decode().removeprefix("message of ") for raw in client.hvals(ledger.keys.unacked(ledger.owner)))


def end(tag, task_id, payload="answer"):
    return End(tag, task_id, f"result-{task_id}", payload, 60)


def lapse(client, ledger):
    """Let a worker's lease have lapsed a moment ago."""
    seconds, micros = client.time()
    client.zadd(ledger.keys.leases, {ledger.owner: seconds * 1000 + micros // 1000 - 1})


def settle_in(client, ledger):
    """Let a worker have been here for long enough to judge others."""
    ledger.renew(client, {})
    since = int(client.hget(ledger.keys.worker(ledger.owner), "since"))
    client.hset(ledger.keys.worker(ledger.owner), "since", since - 60_000)


def test_messages_are_taken_in_order_and_held_from_then_on(client, ledger):
    push(client, "a", "b", "c")
    first = take(client, ledger, 2)
    assert [raw for _, raw in first.messages] == [b"message of a", b"message of b"]
    assert queued(client) == ["c"]
    assert held(client, ledger) == ["a", "b"]
    assert client.zcard(ledger.keys.claimed_at(ledger.owner)) == 2
    assert client.zscore(ledger.keys.leases, ledger.owner) > 0  # whoever holds something has a lease
    assert first.deaths == 0


def test_lists_are_emptied_in_the_order_given(client, ledger):
    push(client, "low", queue="hanner:9")
    push(client, "high")
    push(client, "other", queue="other")
    assert [tag[16:] for tag, _ in take(client, ledger, 2, ["hanner", "other", "hanner:9"]).messages] == [
        "hanner",
        "other",
    ]
    assert [tag[16:] for tag, _ in take(client, ledger, 5, ["hanner", "other", "hanner:9"]).messages] == ["hanner:9"]


def test_a_worker_takes_its_share_and_leaves_the_others_theirs(client, ledger):
    other = make_ledger()
    for worker in (ledger, other):
        worker.renew(client, {})
    push(client, *map(str, range(10)))
    assert len(take(client, ledger).messages) == 5
    assert len(take(client, other).messages) == 3
    assert len(take(client, ledger, 1).messages) == 1
    assert not take(client, ledger, idle=False).messages  # the last cannot be shared: it is for the idle
    assert len(take(client, other).messages) == 1


def test_an_empty_queue_gives_nothing_and_no_lease(client, ledger):
    assert take(client, ledger).messages == []
    assert not client.keys("*")


def test_a_server_that_forgot_the_script_is_told_it_again(client, ledger):
    push(client, "a", "b")
    assert take(client, ledger, 1).messages
    client.script_flush()
    assert take(client, ledger, 1).messages


def test_messages_go_back_to_where_they_came_from_in_their_order(client, ledger):
    push(client, "x", queue="hanner:9")
    push(client, *map(str, range(30)))
    taken = take(client, ledger, 21, ["hanner:9", "hanner"])
    keep = taken.messages[5][0]
    assert ledger.put_back(client, [keep]) == 20
    assert queued(client, "hanner:9") == ["x"]
    assert queued(client) == [str(n) for n in range(30) if n != 4]
    assert held(client, ledger) == ["4"]


def test_thousands_of_messages_go_both_ways(client, ledger):
    ids = [str(n) for n in range(9000)]
    push(client, *ids)
    while take(client, ledger).messages:
        pass
    assert len(held(client, ledger)) == 9000
    assert ledger.put_back(client) == 9000
    assert queued(client) == ids


def test_a_batch_that_begins_is_told_what_is_lost_and_what_is_answered(client, ledger):
    a, b, c = hold(client, ledger, "a", "b", "c")
    client.set("result-b", "before")
    ledger.settle(client, [c], [], [])
    assert ledger.begin(client, [a, b, c], ["a", "b", "c"], ["result-a", "result-b", "result-c"]) == [
        True,
        b"before",
        False,
    ]
    assert client.hgetall(ledger.keys.running(ledger.owner)) == {a.encode(): b"a", b.encode(): b"b"}


def test_an_end_stores_announces_and_acknowledges_at_once(client, ledger):
    (tag,) = hold(client, ledger, "a")
    ledger.begin(client, [tag], ["a"], ["result-a"])
    client.hset(ledger.keys.crashes, mapping={"a": 1, "other": 1})
    assert ledger.finish(client, [end(tag, "a")]) == [True]
    assert client.get("result-a") == b"answer"
    assert 0 < client.ttl("result-a") <= 60
    assert sorted(client.keys("*")) == sorted([b"result-a", ledger.keys.leases.encode(), ledger.keys.crashes.encode()])
    assert client.hkeys(ledger.keys.crashes) == [b"other"]


def test_a_dead_letter_carries_the_message_as_it_stood(client, ledger):
    raw = b'{"a": "\xe9\xa9\xac\\u4e91/\x01", "n": 1e400}'
    client.lpush("hanner", raw)
    ((tag, _),) = take(client, ledger).messages
    letter = {"id": "a", "task": "t", "code": "worker_lost", "reason": "it died", "crashes": 3, "at": 12.5}
    ledger.finish(client, [End(tag, "a", "result-a", "failure", 0, letter=letter)])
    assert letters(client, ledger.keys) == [letter | {"message": raw.decode(), "list": "hanner"}]
    assert client.zscore(ledger.keys.dead_index, "a") == 12.5
    assert client.ttl("result-a") == -1


def test_deaths_are_counted_only_for_what_is_held(client, ledger):
    a, b = hold(client, ledger, "a", "b")
    ledger.begin(client, [a, b], ["a", "b"], ["result-a", "result-b"])
    assert ledger.died(client, [a, b], ["a", "b"]) == [1, 1]
    assert not client.exists(ledger.keys.running(ledger.owner))
    ledger.settle(client, [b], ["b"], [])
    assert ledger.died(client, [a, b], ["a", "b"]) == [2, 0]
    assert ledger.deaths_of(client, ["a", "b"]) == [2, 0]
    push(client, "c")
    assert take(client, ledger).deaths == 1


def test_what_a_lapsed_worker_held_is_in_the_queue_again_and_deaths_are_counted(client, ledger):
    dead = make_ledger()
    one, two = hold(client, dead, "one", "two")
    dead.begin(client, [two], ["two"], ["result-two"])
    dead.renew(client, {"host": "h"})
    settle_in(client, ledger)
    assert ledger.renew(client, {}).owners == []  # not while it lives
    lapse(client, dead)
    renewed = ledger.renew(client, {})
    assert (renewed.owners, renewed.taken_back) == ([dead.owner], 2)
    assert queued(client) == ["one", "two"]
    assert client.hgetall(ledger.keys.crashes) == {b"two": b"1"}
    assert not client.keys(f"*{dead.owner}")
    assert client.zrange(ledger.keys.leases, 0, -1) == [ledger.owner.encode()]
    # The dead one wakes up: nothing it says counts.
    assert dead.finish(client, [end(one, "one"), end(two, "two")]) == [False, False]
    dead.settle(client, [one], ["one"], [two])
    assert queued(client) == ["one", "two"]
    assert not client.exists("result-one", "result-two")


def test_who_was_away_itself_judges_nobody(client, ledger):
    other = make_ledger()
    hold(client, other, "a")
    settle_in(client, ledger)
    for worker in (ledger, other):  # Redis stood still, or its clock jumped
        lapse(client, worker)
    assert ledger.renew(client, {}).owners == []
    assert other.renew(client, {}).owners == []
    assert held(client, other) == ["a"]


def test_a_clock_that_was_set_back_keeps_nobody_alive_for_long(client, ledger):
    other = make_ledger()
    hold(client, other, "a")
    seconds, _ = client.time()
    client.zadd(ledger.keys.leases, {other.owner: (seconds + 3600) * 1000})
    ledger.renew(client, {})
    assert client.zscore(ledger.keys.leases, other.owner) <= (seconds + 6) * 1000


def test_what_is_held_for_too_long_and_does_not_run_goes_back(client):
    ledger = make_ledger(visibility=1000)
    forgotten, running = hold(client, ledger, "forgotten", "running")
    ledger.begin(client, [running], ["running"], ["result-running"])
    assert ledger.renew(client, {}).overdue == 0
    seconds, _ = client.time()
    client.zadd(ledger.keys.claimed_at(ledger.owner), dict.fromkeys([forgotten, running], (seconds - 1001) * 1000))
    assert ledger.renew(client, {}).overdue == 1
    assert queued(client) == ["forgotten"]
    assert held(client, ledger) == ["running"]


def test_a_worker_says_how_it_does_until_it_leaves(client, ledger):
    hold(client, ledger, "a", "b")
    ledger.renew(client, {"host": "celery@h", "pid": 7, "rate": 1.5})
    about = client.hgetall(ledger.keys.worker(ledger.owner))
    assert about.keys() == {b"host", b"pid", b"rate", b"since", b"held"}
    assert (about[b"host"], about[b"pid"], about[b"rate"], about[b"held"]) == (b"celery@h", b"7", b"1.5", b"2")
    assert 60 < client.ttl(ledger.keys.worker(ledger.owner)) <= 65
    assert ledger.leave(client) == 2
    assert queued(client) == ["a", "b"]
    assert sorted(client.keys("*")) == [b"hanner", b"hanner:queues"]  # that there was one is remembered


@pytest.fixture
def full(client):
    yield lambda: client.config_set("maxmemory", "1kb")
    client.config_set("maxmemory", "0")


def test_a_full_memory_stops_no_step(client, ledger, full):
    other = make_ledger()
    a, b, _ = hold(client, ledger, "a", "b", "c")
    hold(client, other, "d")
    push(client, "e")
    settle_in(client, ledger)
    lapse(client, other)
    full()
    with pytest.raises(redis.OutOfMemoryError):
        client.lpush("hanner", "f")
    ledger.begin(client, [a], ["a"], ["result-a"])
    assert ledger.finish(client, [end(a, "a")]) == [True]
    assert ledger.died(client, [b], ["b"]) == [1]
    assert ledger.renew(client, {}).taken_back == 1
    assert [raw for _, raw in take(client, ledger).messages] == [b"message of d", b"message of e"]
    assert ledger.leave(client) == 4


def test_the_scripts_name_is_the_one_redis_gives_it(client):
    assert client.script_load(TAKE.source) == TAKE.sha
