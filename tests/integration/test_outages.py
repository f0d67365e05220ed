"""Calls that wait, and calls that send, while Redis is unreachable."""

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from hanner import BrokerUnreachable, Client, QueueFull, TimedOut
from support.servers import redis_server
from support.stub_worker import StubWorker, store, success
from support.waiting import wait_until

LONG = 3600
"""A `timeout` with which a test fails unless `connect_timeout` ends the call."""
ANSWER = success({"entities": [], "model": "m@0"})
CALLS = {
    "extract": lambda ner: ner.extract("马云"),
    "submit": lambda ner: ner.submit("马云"),
    "stream": lambda ner: list(ner.stream(["马云"])),
    "done": lambda ner: ner.job("1").done(),
    "result": lambda ner: ner.job("1").result(),
    "revoke": lambda ner: ner.job("1").revoke(),
}


@contextmanager
def unresponsive_server():
    """Run a server that accepts connections and never replies."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_absent_redis_is_reported_at_once(call):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        Client(f"redis://:secret@127.0.0.1:{port}/0", timeout=LONG, connect_timeout=1.0) as ner,
        pytest.raises(BrokerUnreachable, match=f"redis://:\\*\\*@127.0.0.1:{port}/0") as caught,
    ):
        call(ner)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_unresponsive_redis_is_reported_in_time(call):
    with (
        unresponsive_server() as port,
        Client(f"redis://127.0.0.1:{port}/0", timeout=LONG, connect_timeout=0.5) as ner,
        pytest.raises(BrokerUnreachable),
    ):
        call(ner)


def test_frozen_redis_is_reported_in_time(server):
    with Client(server.url, timeout=LONG, connect_timeout=0.5) as ner:
        ner.submit("马云")
        server.client.execute_command("CLIENT", "PAUSE", "20000", "WRITE")
        with pytest.raises(BrokerUnreachable):
            ner.submit("马云")
    server.client.execute_command("CLIENT", "UNPAUSE")


def test_wrong_password_is_reported(server):
    with (
        Client(server.url.replace("redis://", "redis://unknown:secret@")) as ner,
        pytest.raises(BrokerUnreachable) as caught,
    ):
        ner.submit("马云")
    assert "secret" not in str(caught.value)


def test_killed_subscription_is_replaced(ner, worker, server):
    worker.hold()
    job = ner.submit("马云")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(job.result)
        wait_until(lambda: server.client.pubsub_channels("celery-task-meta-*"))
        assert server.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
        worker.release()
        assert waiting.result(60)[0].text == "马云"


def test_client_reconnects_more_often_than_a_pool_has_connections(ner, server):
    """redis-py's default is 100. An outage of a minute takes more attempts."""
    for _ in range(120):
        ner.submit("马云")
        server.client.client_kill_filter(_type="normal", skipme=True)
    with StubWorker(server.url):
        assert ner.extract("马云")[0].text == "马云"


def test_client_survives_killed_connections(ner, worker, server):
    for _ in range(5):
        assert ner.extract("马云")[0].text == "马云"
        for client in server.client.client_list():
            if client["name"] != "stub":
                server.client.execute_command("CLIENT", "KILL", "ID", client["id"], "SKIPME", "yes")


def test_restart_of_redis_loses_no_result():
    with redis_server() as server, Client(server.url, timeout=60, connect_timeout=2) as ner:
        jobs = [ner.submit("马云") for _ in range(10)]
        with ThreadPoolExecutor(10) as threads:
            waiting = [threads.submit(job.result) for job in jobs]
            wait_until(lambda: len(server.client.pubsub_channels("celery-task-meta-*")) == 10)
            server.stop(kill=True)
            server.start()
            with StubWorker(server.url) as worker:
                assert [result.result(60)[0].text for result in waiting] == ["马云"] * 10
                assert ner.extract("马云")[0].text == "马云"
                assert len(worker.requests) == 11


def test_waiting_call_reports_an_unreachable_redis():
    with redis_server() as server, Client(server.url, connect_timeout=0.5) as ner:
        job = ner.submit("马云")
        with pytest.raises(TimedOut):
            job.result(0.1)
        server.stop()
        with pytest.raises(BrokerUnreachable):
            job.result(1.0)
        server.start()
        store(server.client, job.id, ANSWER)
        assert job.result(60) == []


def test_memory_limit_is_reported(server):
    server.client.config_set("maxmemory", "1")
    try:
        with Client(server.url) as ner, pytest.raises(QueueFull, match="memory limit"):
            ner.submit("马云")
    finally:
        server.client.config_set("maxmemory", "0")


def test_refused_write_differs_from_an_unreachable_redis(server):
    server.client.replicaof("127.0.0.1", 1)  # a replica refuses writes, like a Redis with a full disk
    try:
        with (
            Client(server.url, connect_timeout=0.5) as ner,
            pytest.raises(BrokerUnreachable, match=r"refuses.*read only replica"),
        ):
            ner.submit("马云")
    finally:
        server.client.replicaof("NO", "ONE")
