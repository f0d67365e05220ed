"""`Client.backlog` compared with what is in Redis."""

import asyncio

import pytest

from hanner import AsyncClient, Backlog
from hanner.queue.keys import QueueKeys
from hanner.queue.stats import SAMPLE_SIZE
from support.dead_letters import add_dead_letter

KEYS = QueueKeys("hanner")
STATE = {
    "host": "box",
    "pid": "12",
    "processes": "2",
    "model": "hanner-small@01234567",
    "started": "1700000000.5",
    "texts": "900",
    "rate": "40.5",
    "batch_texts": "16.2",
    "latency_ms": "31.5",
    "unacked": "5",
}


def lease(server, worker, *, seconds=60, **state):
    now = server.client.time()[0]
    server.client.zadd(KEYS.leases, {worker: (now + seconds) * 1000})
    server.client.hset(KEYS.worker(worker), mapping=STATE | state)


def test_an_empty_queue(ner):
    assert ner.backlog() == Backlog()
    assert ner.backlog().seconds is None


def test_waiting_requests_and_texts_are_counted(ner, server):
    ner.submit("一")
    ner.submit_many(["一", "二", "三"])
    backlog = ner.backlog()
    assert (backlog.depth, backlog.texts) == (2, 4)
    assert 0 <= backlog.oldest_seconds < 60


def test_oldest_age_is_that_of_the_next_request(ner, server):
    ner.submit("一")
    old = server.client.lpop("hanner").replace('"sent_at":', '"sent_at":1e9,"was":')
    server.client.rpush("hanner", old)
    ner.submit("二")
    assert ner.backlog().oldest_seconds > 1e6


def test_send_time_in_the_future_counts_as_now(ner, server):
    ner.submit("一")
    server.client.rpush("hanner", server.client.lpop("hanner").replace('"sent_at":', '"sent_at":9e9,"was":'))
    assert ner.backlog().oldest_seconds == 0


ODD = [
    "",
    "{",
    "no JSON",
    '{"headers": 5}',
    '{"headers": {"hanner": 5}}',
    '{"headers": {"hanner": {"texts": 1e999}}}',
    '"headers":',
    '{"headers": ' + "[" * 100_000,
]


@pytest.mark.parametrize("message", ODD, ids=range(len(ODD)))
def test_foreign_message_counts_as_one_text(ner, server, message):
    server.client.lpush("hanner", message)
    assert ner.backlog() == Backlog(depth=1, texts=1)


def test_messages_with_a_kombu_priority_are_counted(ner, server):
    server.client.lpush(KEYS.lists[2], "{}")
    assert ner.backlog().depth == 1


def test_many_requests_are_sampled(ner, server):
    for _ in range(SAMPLE_SIZE * 3):
        ner.submit_many(["一"] * 7)
    assert ner.backlog().texts == SAMPLE_SIZE * 3 * 7


def test_workers_have_a_valid_lease(ner, server):
    lease(server, "b", host="other", unacked="1", rate="0.5")
    lease(server, "a")
    lease(server, "expired", seconds=-1)
    ner.submit("一")
    backlog = ner.backlog()
    assert [worker.id for worker in backlog.workers] == ["a", "b"]
    first = backlog.workers[0]
    assert (first.host, first.pid, first.processes, first.model) == ("box", 12, 2, "hanner-small@01234567")
    assert (first.texts, first.rate, first.batch_texts, first.latency_ms) == (900, 40.5, 16.2, 31.5)
    assert (backlog.unacked, backlog.rate) == (6, 41.0)
    assert backlog.seconds == 1 / 41


@pytest.mark.parametrize("state", [{"pid": ""}, {"pid": "x", "rate": "fast"}, {"batch_texts": "", "unacked": "3.0"}])
def test_worker_with_unreadable_fields_is_listed(ner, server, state):
    lease(server, "a", **state)
    assert [worker.id for worker in ner.backlog().workers] == ["a"]


def test_worker_without_a_hash_is_listed(ner, server):
    lease(server, "a")
    server.client.delete(KEYS.worker("a"))
    assert ner.backlog().workers[0].rate == 0


def test_scheduled_requests_are_counted(ner, server):
    now = server.client.time()[0]
    server.client.zadd(KEYS.scheduled, {"a": (now + 7200) * 1000, "b": (now + 600) * 1000})
    backlog = ner.backlog()
    assert (backlog.depth, backlog.scheduled) == (0, 2)
    assert 500 < backlog.scheduled_seconds <= 600


def test_a_scheduled_request_that_is_due_has_no_time_left(ner, server):
    server.client.zadd(KEYS.scheduled, {"a": 0})
    assert (ner.backlog().scheduled, ner.backlog().scheduled_seconds) == (1, 0)


def test_dead_letters_are_counted(ner, server):
    add_dead_letter(server.client, "a")
    assert ner.backlog().dead == 1


def test_reading_changes_nothing_and_takes_one_round_trip(ner, server):
    ner.submit("一")
    ner.backlog()
    server.client.config_resetstat()
    before = server.client.lrange("hanner", 0, -1)
    ner.backlog()
    calls = server.client.info("commandstats")
    assert calls["cmdstat_evalsha"]["calls"] == 1
    assert server.client.lrange("hanner", 0, -1) == before


def test_asyncio_client_returns_the_same(ner, server):
    ner.submit("一")

    async def read():
        async with AsyncClient(server.url) as client:
            return await client.backlog()

    assert asyncio.run(read()).depth == 1


def test_the_sample_of_large_requests_is_small(ner, server):
    for _ in range(SAMPLE_SIZE):
        ner.submit_many(["马" * 50_000] * 20)  # 4 MB
    server.client.config_resetstat()
    assert ner.backlog().bulk == SAMPLE_SIZE
    assert server.client.info("commandstats")["cmdstat_lindex"]["calls"] == 3  # the oldest, and two of the sample
