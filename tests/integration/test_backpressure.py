"""A full queue, or a Redis at its memory limit: requests are rejected or retried, never above the limit."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from hanner import AsyncClient, Client, QueueFull
from hanner.queue.keys import QueueKeys
from support.stub_worker import StubWorker
from support.waiting import wait_until

KEYS = QueueKeys("hanner")


def lease(server, *, rate):
    now = server.client.time()[0]
    server.client.zadd(KEYS.leases, {"w": (now + 60) * 1000})
    server.client.hset(KEYS.worker("w"), mapping={"host": "box", "pid": 1, "rate": rate})


@pytest.fixture
def small(server):
    with Client(server.url, timeout=60, max_queue=3) as client:
        yield client


def test_full_queue_rejects_requests(small, server):
    for _ in range(3):
        small.submit("马云")
    message = "3 interactive requests wait in 'hanner' and HANNER_MAX_QUEUE allows 3; no worker runs"
    for call in (small.submit, lambda text: small.submit_many([text], priority="interactive"), small.extract):
        with pytest.raises(QueueFull, match=message) as caught:
            call("马云")
        assert caught.value.seconds is None
    assert server.client.llen("hanner") == 3


def test_error_estimates_when_the_queue_drains(small, server):
    lease(server, rate=2)
    small.submit("马云")
    small.submit("马云")
    small.submit_many(["马云"] * 250, priority="interactive")
    with pytest.raises(QueueFull, match=r"at 2 texts/s the workers need about 2 min 6 s for the backlog") as caught:
        small.submit("马云")
    assert caught.value.seconds == 126


def test_messages_of_other_clients_count(server, small):
    server.client.lpush("hanner", *["{}"] * 5)
    with pytest.raises(QueueFull, match="5 interactive requests wait"):
        small.submit("马云")


def test_freed_room_is_used(small, server):
    for _ in range(3):
        small.submit("马云")
    server.client.rpop("hanner")
    small.submit("马云")
    with pytest.raises(QueueFull):
        small.submit("马云")


def test_concurrent_clients_do_not_exceed_the_limit(server):
    def fill(client):
        try:
            client.submit("马云")
        except QueueFull:
            return 0
        return 1

    with (
        Client(server.url, max_queue=100) as one,
        Client(server.url, max_queue=100) as two,
        ThreadPoolExecutor(16) as threads,
    ):
        assert sum(threads.map(fill, [one, two] * 150)) == 100
    assert server.client.llen("hanner") == 100


def test_zero_is_no_limit(server):
    with Client(server.url, max_queue=0) as client:
        server.client.lpush("hanner", *["{}"] * 1000)
        server.client.config_resetstat()
        client.submit("马云")
        assert "evalsha" not in str(server.client.info("commandstats"))


def test_stream_waits_for_room_in_a_full_queue(server, small):
    server.client.lpush(KEYS.bulk, *["{}"] * 3)
    with ThreadPoolExecutor(1) as threads:
        streaming = threads.submit(lambda: list(small.stream(["马云"] * 500, window=40)))
        wait_for_retries(server)
        assert server.client.llen(KEYS.bulk) == 3
        server.client.delete(KEYS.bulk)
        with StubWorker(server.url):
            assert len(streaming.result(60)) == 500


def test_stream_yields_results_while_the_queue_is_full(server, small, worker):
    worker.hold()
    stream = small.stream(("马云" for _ in range(1000)), window=64)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(next, stream)
        worker.wait_for(1)
        worker.hold()
        worker.release()
        assert first.result(60).entities
        assert sum(1 for _ in stream) == 999


def test_stream_raises_after_the_timeout_without_progress(server):
    server.client.lpush(KEYS.bulk, *["{}"] * 3)
    with Client(server.url, max_queue=3, timeout=0.2) as client, pytest.raises(QueueFull, match="the queue is full"):
        list(client.stream(["马云"]))


def test_asyncio_stream_waits_and_raises_like_the_blocking_one(server):
    async def body():
        async with AsyncClient(server.url, max_queue=3, timeout=60) as client:
            with pytest.raises(QueueFull):
                await client.submit("马云")
            with pytest.raises(QueueFull):
                await client.extract("马云")
            with pytest.raises(QueueFull):
                await anext(client.stream(["马云"], timeout=0.1))
            streaming = asyncio.ensure_future(collect(client.stream(["马云"] * 500, window=40)))
            await asyncio.to_thread(wait_for_retries, server)
            server.client.delete("hanner", KEYS.bulk)
            with StubWorker(server.url):
                return await asyncio.wait_for(streaming, 60)

    for name in ("hanner", KEYS.bulk):
        server.client.lpush(name, *["{}"] * 3)
    assert len(asyncio.run(body())) == 500


def test_redis_at_its_memory_limit_is_a_full_queue(server, small):
    small.submit("马云")
    server.client.config_set("maxmemory", "1")
    try:
        with pytest.raises(QueueFull, match="memory limit"):
            small.submit("马云")
        with ThreadPoolExecutor(1) as threads:
            streaming = threads.submit(lambda: list(small.stream(["马云"] * 500, window=40)))
            wait_for_retries(server)
            server.client.config_set("maxmemory", "0")
            with StubWorker(server.url):
                assert len(streaming.result(60)) == 500
    finally:
        server.client.config_set("maxmemory", "0")


async def collect(stream):
    return [document async for document in stream]


def wait_for_retries(server, times=3):
    """Wait until a client has tried to push `times` times."""

    def pushes():
        stats = server.client.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))

    before = pushes()
    wait_until(lambda: pushes() >= before + times)
