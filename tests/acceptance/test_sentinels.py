"""With a master, a replica and a sentinel, client, worker and gateway follow the master."""

import threading

import pytest

from chaos.sentinels import SentinelSet
from hanner import BrokerUnreachable, Client
from support.gateways import gateway
from support.servers import require_server
from support.waiting import wait_until
from support.workers import SHORT_LEASE, worker


@pytest.fixture
def sentinels(tmp_path):
    require_server()
    servers = SentinelSet(tmp_path)
    try:
        yield servers.start()
    finally:
        servers.close()


def test_planned_failover_under_load_loses_no_text(sentinels):
    """The replica catches up first, so it has all accepted texts. Texts are sent meanwhile, also over HTTP."""
    with (
        worker(sentinels.url, "-c", "1", env=SHORT_LEASE),
        Client(sentinels.url, timeout=60, connect_timeout=60) as ner,
        gateway(sentinels.url, timeout=60, connect_timeout=30) as site,
    ):
        assert len(ner.extract("马云")) == 1  # the client retries only if it was connected before
        job = site.http.post("/api/v1/jobs", json={"texts": ["马云"] * 600}).json()
        sent, moved = [], threading.Event()

        def swap():
            sentinels.failover()
            moved.set()

        swapping = threading.Thread(target=swap)
        swapping.start()
        while not moved.is_set() or len(sent) < 300:
            sent.append(ner.submit("马云", priority="bulk" if len(sent) % 2 else "interactive"))
        swapping.join()
        assert all(len(one.result()) == 1 for one in sent)
        assert len(site.ner(text="马云").json()["entities"]) == 1
        assert site.events(job["id"])[-1][0] == "end"
        documents = site.job(job["id"]).json()["documents"]
        assert [len(document["entities"]) for document in documents] == [1] * 600
        assert ner.backlog().depth == 0


def test_work_continues_after_the_master_died(sentinels):
    with (
        worker(sentinels.url, "-c", "1", env=SHORT_LEASE),
        Client(sentinels.url, timeout=60, connect_timeout=60) as ner,
    ):
        assert len(ner.extract("马云")) == 1
        sentinels.kill_master()
        assert [len(ner.extract("马云")) for _ in range(20)] == [1] * 20
        assert len(list(ner.stream(["马云"] * 200))) == 200


def test_master_with_min_replicas_to_write_refuses_texts_without_replica(sentinels):
    """With min-replicas-to-write, a master that is cut off from its replica refuses texts."""
    replica = next(server for server in sentinels.servers if server is not sentinels.master)
    sentinels.client.config_set("min-replicas-to-write", 1)
    with Client(sentinels.url, connect_timeout=1) as ner:
        ner.submit("马云")
        replica.kill()
        wait_until(lambda: not sentinels.client.info("replication")["connected_slaves"])
        with pytest.raises(BrokerUnreachable, match=r"NOREPLICAS|Not enough good replicas"):
            ner.submit("马云")
        assert sentinels.client.llen("hanner") == 1
        replica.start()
        wait_until(lambda: sentinels.client.info("replication").get("min_slaves_good_slaves"))
        ner.submit("马云")
