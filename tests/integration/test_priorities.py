"""Interactive and bulk: the lists of requests, the fetches of a worker, and the lists that messages are requeued to."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from hanner import AsyncClient, Client, InvalidSettings, QueueFull
from hanner.queue.dead_letters import DeadLetters
from hanner.queue.keys import QueueKeys
from hanner_worker.delivery.inflight import FetchRequest, Outcome, number_of
from support.inflight import completed, fetch_kinds, letters, make_inflight, push, queued

KEYS = QueueKeys("hanner")
BULK = "hanner.bulk"


def ids(fetched):
    return [raw.decode().removeprefix("message of ") for _, raw in fetched.messages]


def both(count, bulk_count, *, idle=True, round_up=True):
    return FetchRequest(KEYS.interactive_lists, count, round_up), FetchRequest(KEYS.bulk_lists, bulk_count, idle)


def test_interactive_messages_are_fetched_first(client, inflight):
    push(client, "b1", "b2", queue=BULK)
    push(client, "t1", "t2")
    assert ids(fetch_kinds(client, inflight, *both(10, 10))) == ["t1", "t2", "b1", "b2"]


def test_interactive_and_bulk_messages_have_separate_limits(client, inflight):
    push(client, *(f"b{n}" for n in range(9)), queue=BULK)
    push(client, *(f"t{n}" for n in range(9)))
    assert ids(fetch_kinds(client, inflight, *both(2, 3))) == ["t0", "t1", "b0", "b1", "b2"]
    tags = fetch_kinds(client, inflight, *both(1, 1)).messages
    assert len({int(tag[:15]) for tag, _ in tags}) == 2  # numbers are never used twice


def test_each_kind_is_shared_among_workers_separately(client, inflight):
    for one in (inflight, make_inflight()):
        one.heartbeat(client, {})
    push(client, *(f"b{n}" for n in range(8)), queue=BULK)
    push(client, "text")
    # Busy with bulk: it rounds its share of bulk down, but fetches the text, because no other worker would.
    assert ids(fetch_kinds(client, inflight, *both(100, 100, idle=False))) == ["text", "b0", "b1", "b2", "b3"]
    push(client, "text")
    assert ids(fetch_kinds(client, inflight, *both(100, 0, idle=False, round_up=False))) == []


def test_messages_are_requeued_to_the_list_they_came_from(client, inflight):
    push(client, "b1", "b2", queue=BULK)
    push(client, "low", queue=KEYS.bulk_lists[3])
    push(client, "t1", "t2")
    fetch_kinds(client, inflight, *both(10, 10))
    assert inflight.requeue(client) == 5
    assert queued(client) == ["t1", "t2"]
    assert queued(client, BULK) == ["b1", "b2"]
    assert queued(client, KEYS.bulk_lists[3]) == ["low"]


def test_messages_of_an_expired_worker_are_requeued_to_the_list_they_came_from(client, inflight):
    push(client, "b1", "b2", queue=BULK)
    push(client, "t1")
    tags = [tag for tag, _ in fetch_kinds(client, inflight, *both(10, 10)).messages]
    inflight.handled = number_of(tags[-1])
    inflight.heartbeat(client, {})
    seconds, micros = client.time()
    now = seconds * 1000 + micros // 1000
    client.zadd(inflight.keys.leases, {inflight.worker_id: now - 1})
    other = make_inflight()
    other.heartbeat(client, {})
    client.hset(other.keys.worker(other.worker_id), "since", now - 60_000)
    assert other.heartbeat(client, {}).requeued == 3
    assert (queued(client), queued(client, BULK)) == (["t1"], ["b1", "b2"])


def test_a_retried_dead_letter_is_queued_in_the_list_it_came_from(client, backend, inflight):
    push(client, "b1", queue=BULK)
    push(client, "t1")
    letter = {"task": "hanner.extract", "code": "worker_lost", "reason": "it died", "crashes": 3, "at": 12.5}
    fetched = fetch_kinds(client, inflight, *both(10, 10)).messages
    completions = [
        completed(task, tag, ValueError(), Outcome.FAILED, dead_letter={"id": task} | letter)
        for (tag, _), task in zip(fetched, ("t1", "b1"), strict=True)
    ]
    inflight.complete(backend, completions)
    assert {(stored["id"], stored["list"]) for stored in letters(client, KEYS)} == {("t1", "hanner"), ("b1", BULK)}
    dead = DeadLetters(client, "hanner")
    assert dead.retry(dead.ids()) == 2
    assert (queued(client), queued(client, BULK)) == (["t1"], ["b1"])


@pytest.mark.parametrize("stored_list", [{}, {"list": "another queue's"}])
def test_dead_letter_of_an_unknown_list_goes_to_the_interactive_list(client, stored_list):
    letter = {"id": "a", "task": "t", "code": "c", "reason": "r", "crashes": 3, "at": 1.0, "message": "message of a"}
    client.hset(KEYS.dead, "a", json.dumps(letter | stored_list))
    client.zadd(KEYS.dead_index, {"a": 1.0})
    dead = DeadLetters(client, "hanner")
    assert dead.retry(["a"]) == 1
    assert queued(client) == ["a"]


SENT = {
    "submit": (lambda ner, **options: ner.submit("一", **options), "hanner"),
    "submit_many": (lambda ner, **options: ner.submit_many(["一"], **options), BULK),
    "extract": (lambda ner, **options: ner.extract("一", **options), "hanner"),
    "extract_many": (lambda ner, **options: ner.extract_many(["一"], **options), "hanner"),
    "stream": (lambda ner, **options: list(ner.stream(["一"], **options)), BULK),
}


def lists_of(worker):
    return [request["list"] for request in worker.requests]


@pytest.mark.parametrize("verb", SENT)
def test_each_method_has_a_default_priority_and_takes_another(ner, worker, verb):
    send, default = SENT[verb]
    for number, options in enumerate([{}, {"priority": "interactive"}, {"priority": "bulk"}], 1):
        send(ner, **options)
        worker.wait_for(number)  # it would take an interactive request before a queued bulk one
    assert lists_of(worker) == [default, "hanner", BULK]
    assert all(r["routing_key"] == r["list"] for r in worker.requests)


async def call_async(ner, verb, **options):
    match verb:
        case "stream":
            return [document async for document in ner.stream(["一"], **options)]
        case "submit" | "extract":
            return await getattr(ner, verb)("一", **options)
        case _:
            return await getattr(ner, verb)(["一"], **options)


@pytest.mark.parametrize("verb", SENT)
def test_each_asyncio_method_has_a_default_priority_and_takes_another(server, worker, verb):
    async def all_three():
        async with AsyncClient(server.url, timeout=60) as ner:
            for number, options in enumerate([{}, {"priority": "interactive"}, {"priority": "bulk"}], 1):
                await call_async(ner, verb, **options)
                await asyncio.to_thread(worker.wait_for, number)

    asyncio.run(all_three())
    assert lists_of(worker) == [SENT[verb][1], "hanner", BULK]


def test_unknown_priority_is_rejected(ner, server):
    with pytest.raises(InvalidSettings, match="priority must be 'interactive' or 'bulk', not 'high'"):
        ner.submit("一", priority="high")
    assert not server.client.exists("hanner", BULK)


def test_queue_name_must_not_end_in_bulk():
    with pytest.raises(InvalidSettings, match=r'queue is "hanner\.bulk", but .* end in \.bulk'):
        Client(queue="hanner.bulk")


def test_full_bulk_list_does_not_block_interactive_requests(server):
    with Client(server.url, max_queue=3) as ner:
        for _ in range(3):
            ner.submit_many(["一"])
        with pytest.raises(QueueFull, match=r"3 bulk requests wait in 'hanner' and HANNER_MAX_QUEUE allows 3"):
            ner.submit_many(["一"])
        for _ in range(3):
            ner.submit("一")
        with pytest.raises(QueueFull, match=r"3 interactive requests wait in 'hanner'"):
            ner.submit("一")


def test_queue_full_error_estimates_each_priority(server):
    now = server.client.time()[0]
    server.client.zadd(KEYS.leases, {"w": (now + 60) * 1000})
    server.client.hset(KEYS.worker("w"), mapping={"host": "box", "rate": "2"})
    with Client(server.url, max_queue=2) as ner:
        for _ in range(2):
            ner.submit_many(["一"] * 10)
            ner.submit("一")
        with pytest.raises(QueueFull) as bulk:
            ner.submit_many(["一"])
        with pytest.raises(QueueFull) as interactive:
            ner.submit("一")
        assert (bulk.value.seconds, interactive.value.seconds) == (11.0, 1.0)
        backlog = ner.backlog()
        assert (backlog.depth, backlog.texts, backlog.bulk, backlog.bulk_texts) == (4, 22, 2, 20)


def test_bulk_list_is_retried_after_the_interactive_list_was_reached(running_server, server):
    """A connection for one list counts for the other: its first message is retried too."""
    with Client(server.url, connect_timeout=60) as ner:
        ner.submit("一")
        running_server.stop(kill=True)
        with ThreadPoolExecutor(1) as threads:
            sending = threads.submit(ner.submit, "一", priority="bulk")
            running_server.start()
            assert sending.result(60).id
        assert server.client.llen(BULK) == 1
