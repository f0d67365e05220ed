"""A Redis Cluster is refused in a sentence, by client and worker, and so are mistaken schemes of sentinels."""

import asyncio

import pytest
import redis

from hanner import AsyncClient, BrokerUnreachable, Client
from hanner.cli.doctor.result import Level
from hanner.cli.doctor.run import run_checks
from hanner.cli.local_redis import find_server
from hanner.transport.server_mode import NO_SENTINEL, mode_of
from hanner.utils import processes
from support.ports import free_port
from support.servers import require_server
from support.waiting import wait_until
from support.workers import worker

MESSAGE = (
    r"^Redis at redis://127.0.0.1:\d+/0 cannot be used: it is a Redis Cluster, .*; use a single Redis, or Sentinel$"
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The URL of a cluster of one node, which has all slots."""
    require_server()
    folder, port = tmp_path_factory.mktemp("cluster"), free_port()
    options = ("--port", str(port), "--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--save", "")
    with (folder / "log").open("wb") as log:
        process = processes.start([find_server(), *options, "--dir", str(folder)], output=log)
    try:
        with redis.Redis(port=port) as client:
            wait_until(client.ping, ignore=redis.RedisError)
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: client.cluster("info")["cluster_state"] == "ok", ignore=redis.RedisError)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        processes.stop(process, timeout=10)


def test_clients_refuse_a_cluster(cluster):
    async def extract():
        async with AsyncClient(cluster) as ner:
            await ner.extract("马云")

    with Client(cluster) as ner:
        for call in (ner.extract, ner.submit):
            with pytest.raises(BrokerUnreachable, match=MESSAGE):
                call("马云")
        with pytest.raises(BrokerUnreachable, match=MESSAGE):
            ner.backlog()
    with pytest.raises(BrokerUnreachable, match=MESSAGE):
        asyncio.run(extract())


def test_worker_refuses_a_cluster(cluster):
    with worker(cluster, ready=False) as running:
        running.wait_for("<end>")
        assert running.wait() == 1
        assert "cannot be used: it is a Redis Cluster" in running.output
        assert "Traceback" not in running.output


@pytest.fixture
def no_sentinel(server):
    """The URL of a Redis, as if it were a sentinel."""
    return server.url.replace("redis://", "sentinel://")


def test_clients_and_commands_refuse_a_redis_behind_sentinel(no_sentinel):
    with Client(no_sentinel) as ner, pytest.raises(BrokerUnreachable, match=f"cannot be used: {NO_SENTINEL}$"):
        ner.extract("马云")
    last = list(run_checks(no_sentinel, 1))[-1]
    assert (last.level, last.fix) == (Level.FAIL, "write redis:// instead of sentinel:// in HANNER_BROKER_URL")


def test_worker_refuses_a_redis_behind_sentinel(no_sentinel):
    with worker(no_sentinel, ready=False) as running:
        running.wait_for("<end>")
        assert running.wait() == 1
        assert f"cannot be used: {NO_SENTINEL}" in running.output
        assert "Traceback" not in running.output


def test_the_mode_in_replies_of_both_protocols():
    assert mode_of([b"server", b"redis", b"mode", b"sentinel"]) == "sentinel"
    assert mode_of({b"mode": b"cluster"}) == mode_of({"mode": "cluster"}) == "cluster"
    assert mode_of([]) == ""
