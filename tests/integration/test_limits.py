"""One step of Redis moves a bounded number of bytes, and a message that kills its workers becomes a dead letter."""

import json
import random
from itertools import pairwise

import pytest

from hanner.contract import DEFAULT_MAX_REQUEST_BYTES
from hanner_worker.delivery import scripts
from hanner_worker.delivery.decoding import FAULT, KEPT_BYTES, MAX_TAKEOVERS, decode
from hanner_worker.delivery.inflight import MAX_FETCH_BYTES, FetchRequest, Outcome, list_of, number_of
from support.inflight import (
    claim,
    completed,
    expire_lease,
    fetch,
    fetch_kinds,
    letters,
    make_inflight,
    make_lease_old,
    payload,
    push,
    queued,
)

MB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def unpersisted(running_server):
    """Hundreds of megabytes move between lists, which would all be written to disk too."""
    running_server.client.config_set("appendonly", "no")


def make_message(task_id, size=0):
    """Return a message of Celery's, whose body is `size` bytes longer than that of an empty one."""
    headers = {"task": "hanner.extract", "id": task_id}
    return json.dumps({"body": "=" * size, "headers": headers, "properties": {}}).encode()


def take_over(client, inflight, successor):
    """Return the heartbeat of another worker after the lease of a worker has expired."""
    make_lease_old(client, successor)
    expire_lease(client, inflight)
    return successor.heartbeat(client, {})


def test_a_fetch_stops_after_its_bytes_but_moves_at_least_one_message(client, inflight):
    client.lpush("hanner", *[b"{" + b"x" * MB] * 10)
    for max_bytes, messages in ((1, 1), (3 * MB, 3)):
        request = FetchRequest(["hanner"], 9, max_bytes=max_bytes)
        assert len(fetch_kinds(client, inflight, request).messages) == messages
    assert len(fetch(client, inflight).messages) == MAX_FETCH_BYTES // MB
    assert client.llen("hanner") == 2


def test_each_kind_has_bytes_of_its_own(client, inflight):
    client.lpush("hanner.bulk", *[b"{" + b"x" * MB] * 3)
    client.lpush("hanner", *[b"{}"] * 3)
    requests = FetchRequest(["hanner"], 9), FetchRequest(["hanner.bulk"], 9, max_bytes=1)
    lists = [list_of(tag) for tag, _ in fetch_kinds(client, inflight, *requests).messages]
    assert lists == ["hanner", "hanner", "hanner", "hanner.bulk"]


def test_of_a_message_that_is_too_large_only_its_ends_are_fetched(client, inflight):
    client.lpush("hanner", make_message("big", DEFAULT_MAX_REQUEST_BYTES), make_message("small"))
    (_, big), (_, small) = fetch(client, inflight).messages
    assert len(big) < 2 * KEPT_BYTES + 100
    message = decode(big, DEFAULT_MAX_REQUEST_BYTES)
    assert (message["headers"]["id"], message["body"]) == ("big", "")
    assert "33,554,5" in str(message["properties"][FAULT])
    assert FAULT not in decode(small, DEFAULT_MAX_REQUEST_BYTES)["properties"]


def test_every_step_of_a_requeue_moves_a_bounded_number_of_bytes(client, inflight, monkeypatch):
    ids = [str(n) for n in range(40)]
    for task_id in ids:
        client.lpush("hanner", make_message(task_id, MB))
    waiting = []

    def count_steps(script):
        def call(*args):
            reply = script(*args)
            waiting.append(client.llen("hanner"))
            return reply

        return call

    for name in ("REQUEUE", "DEREGISTER", "HEARTBEAT", "ACK"):
        monkeypatch.setattr(scripts, name, count_steps(getattr(scripts, name)))
    for requeue in (
        lambda: inflight.requeue(client),
        lambda: inflight.deregister(client),
        lambda: take_over(client, inflight, make_inflight()).requeued,
    ):
        while client.llen("hanner"):
            fetch(client, inflight)
        waiting[:] = [0]
        assert requeue() == 40
        assert len(waiting) > 5
        assert max(after - before for before, after in pairwise(waiting)) <= 8
        messages = [raw.partition(b"\n")[2] or raw for raw in client.lrange("hanner", 0, -1)]
        assert [json.loads(message)["headers"]["id"] for message in messages] == ids[::-1]
    tags = []
    while fetched := fetch(client, inflight).messages:
        tags += [tag for tag, _ in fetched]
    left = inflight.ack(client, tags[:1], [], tags[1:])
    assert (client.llen("hanner"), len(left)) == (7, 32)


def test_a_take_over_of_a_fetch_that_no_process_has_started_is_counted(client, inflight):
    claim(client, inflight, "a", "b")
    result = take_over(client, inflight, make_inflight())
    assert (result.requeued, result.suspects) == (2, 2)
    assert queued(client) == ["takeovers 1\nmessage of a", "takeovers 1\nmessage of b"]


@pytest.mark.parametrize("progress", ["handled", "started", "a newer fetch"])
def test_a_take_over_after_progress_is_not_counted(client, backend, inflight, progress):
    tags = claim(client, inflight, "a", "b")
    if progress == "handled":
        inflight.handled = number_of(tags[-1])
        inflight.heartbeat(client, {})
    elif progress == "started":
        inflight.start(backend, [payload("a", tags[0])])
    else:
        inflight.complete(backend, [completed("a", tags[0])])
        tags = claim(client, inflight, "c")
        inflight.start(backend, [payload("c", tags[0])])
    result = take_over(client, inflight, make_inflight())
    assert (result.requeued, result.suspects) == (2, 0)
    assert not any(raw.startswith(b"takeovers") for raw in client.lrange("hanner", 0, -1))


def test_a_message_with_takeovers_is_fetched_alone(client, inflight):
    claim(client, inflight, "a", "b")
    successor = make_inflight()
    take_over(client, inflight, successor)
    push(client, "c", "d")
    first, second, others = (fetch(client, successor) for _ in range(3))
    assert [raw for _, raw in first.messages] == [b"takeovers 1\nmessage of a"]
    assert [raw for _, raw in second.messages] == [b"takeovers 1\nmessage of b"]
    assert [raw for _, raw in others.messages] == [b"message of c", b"message of d"]


def test_a_fetch_stops_before_a_message_with_takeovers_and_names_its_kind(client, inflight):
    claim(client, inflight, "a")
    successor = make_inflight()
    take_over(client, inflight, successor)
    client.rpush("hanner", "message of b")  # older
    client.lpush("hanner.bulk", "message of c")
    requests = FetchRequest(["hanner.bulk"], 9), FetchRequest(["hanner"], 9)
    fetched = fetch_kinds(client, successor, *requests)
    assert [raw for _, raw in fetched.messages] == [b"message of c", b"message of b"]
    assert fetched.next_alone == 1
    fetched = fetch_kinds(client, successor, requests[1])
    assert [raw for _, raw in fetched.messages] == [b"takeovers 1\nmessage of a"]
    assert fetched.next_alone is None


def test_a_take_over_in_several_steps_counts_every_message_once(client, inflight):
    for n in range(4):
        client.lpush("hanner", make_message(str(n), 6 * MB))
    fetch_kinds(client, inflight, FetchRequest(["hanner"], 9, max_bytes=99 * MB))
    result = take_over(client, inflight, make_inflight())
    assert (result.requeued, result.suspects) == (4, 4)
    assert [raw[:12] for raw in client.lrange("hanner", 0, -1)] == [b"takeovers 1\n"] * 4


def test_a_dead_letter_has_the_message_as_it_was_sent(client, backend, inflight):
    claim(client, inflight, "a")
    successor = make_inflight()
    take_over(client, inflight, successor)
    ((tag, _),) = fetch(client, successor).messages
    letter = {"id": "a", "task": "t", "code": "worker_lost", "reason": "r", "crashes": 3, "at": 1.0}
    assert successor.complete(backend, [completed("a", tag, dead_letter=letter)]) == [Outcome.OK]
    assert letters(client, successor.keys)[0]["message"] == "message of a"


@pytest.mark.parametrize("seed", range(12))
def test_only_messages_that_kill_their_workers_become_dead_letters(client, backend, seed):
    """Simulate workers: some messages kill the worker that decodes them, and workers are killed at random anyway."""
    dice = random.Random(seed)
    ids = [f"m{n}" for n in range(60)]
    poison = set(dice.sample(ids, 3))
    client.lpush("hanner", *map(make_message, ids))
    dead, done, deaths = set(), set(), 0
    worker = make_inflight()
    waiting = []  # decoded by the worker
    while done | dead != set(ids):
        if dice.random() < 0.1:  # evicted, at any time
            killed = True
        else:
            fetched = fetch(client, worker, most=dice.randint(1, 20)).messages
            killed = False
            for tag, raw in fetched:
                message = decode(raw, DEFAULT_MAX_REQUEST_BYTES)
                task_id = message["headers"]["id"]
                if FAULT in message["properties"]:
                    assert worker.complete(backend, [completed(task_id, tag)]) == [Outcome.OK]
                    dead.add(task_id)
                elif task_id in poison:
                    killed = True
                    break
                else:
                    waiting.append((tag, task_id))
            else:
                worker.handled = number_of(fetched[-1][0]) if fetched else worker.handled
        if killed:
            deaths += 1
            successor = make_inflight()
            take_over(client, worker, successor)
            worker, waiting = successor, []
            continue
        if dice.random() < 0.3:
            worker.heartbeat(client, {})
        batch = [waiting.pop(0) for _ in range(min(len(waiting), dice.randint(0, 8)))]
        requests = [payload(task_id, tag) for tag, task_id in batch]
        if requests:
            worker.start(backend, requests)
            worker.complete(backend, [completed(request.id, request.tag) for request in requests])
            done.update(request.id for request in requests)
    assert dead == poison
    assert done == set(ids) - poison
    # Beside the random ones: each of these messages kills three workers, or one more that had made progress.
    assert MAX_TAKEOVERS * len(poison) <= deaths
