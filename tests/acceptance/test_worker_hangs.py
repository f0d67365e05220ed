"""A worker whose processes hang ends itself, so that a supervisor can start it again."""

from hanner import Client
from hanner.queue.keys import QueueKeys
from support.waiting import wait_until
from support.workers import SHORT_LEASE, worker

HANGS = {**SHORT_LEASE, "HANNER_HANG_TIMEOUT": "2"}
CRASHES = QueueKeys("hanner").crashes


def test_worker_that_hangs_ends_itself_and_its_requests_are_answered_by_the_next_one(server):
    with Client(server.url, timeout=60) as ner:
        with worker(server.url, "-c", "1", env=HANGS) as hanging:
            job = ner.submit("!wait:gate")
            hanging.wait_for("no process of this worker has answered for")
            assert hanging.wait() == 1
        server.client.rpush("gate", *["go"] * 10)
        with worker(server.url, "-c", "1", env=HANGS) as idle:
            assert job.result() == []
            assert ner.extract("马云")[0].text == "马云"
            assert server.client.llen("deaths") == 0
            wait_until(lambda: not server.client.exists(CRASHES))
            assert idle.stop() == 0
