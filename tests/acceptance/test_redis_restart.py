"""What Redis has stored outlives a restart and `kill -9` of it, with the configuration and the users of the containers.

Redis 7 loads the append-only file as the user `default`, and skips each transaction with a command that this user is
denied. hanner's scripts are transactions. Run it with TEST_SERVER=redis-server of the oldest supported version.
"""

import pytest

from hanner import Client, WorkerLost
from hanner.cli.doctor.result import Level
from hanner.cli.doctor.run import run_checks
from hanner.cli.doctor.server import LOADS_ALL
from hanner.queue.keys import QueueKeys, result_key
from support.gateways import gateway
from support.servers import server_version
from support.stack_redis import stack_redis
from support.waiting import wait_until
from support.workers import runs, unacked, worker

TEXT = "马云在杭州"
ANSWERED = TEXT.ljust(31, "。")
"""A text whose length, 31, identifies its runs."""
KEYS = QueueKeys("hanner")


@pytest.fixture
def server(tmp_path):
    with stack_redis(tmp_path) as server:
        yield server


def stored(client, ids):
    """Return what Redis has of these requests and of all dead letters."""
    results = client.mget([result_key(one) for one in ids])
    dead = client.hgetall(KEYS.dead), client.zrange(KEYS.dead_index, 0, -1, withscores=True)
    return results, dead, client.hgetall(KEYS.crashes)


def answered_runs(client):
    return sum(run.count(31) for run in runs(client))


def settled(client):
    """Return whether the server has written everything to its append-only file."""
    info = client.info("persistence")
    return not info["aof_pending_bio_fsync"] and not info["aof_buffer_length"] and not unacked(client)


@pytest.mark.parametrize("kill", [False, True], ids=["restart", "kill"])
def test_results_jobs_and_dead_letters_outlive_redis(server, kill):
    client = server.admin
    with (
        worker(server.url("worker"), "-c", "1"),
        gateway(server.url("gateway"), timeout=60) as site,
        Client(server.url("app"), timeout=60) as ner,
    ):
        answered = [ner.submit(ANSWERED) for _ in range(20)]
        assert all(job.result() for job in answered)
        crash = ner.submit("!die")
        with pytest.raises(WorkerLost):
            crash.result()
        finished = site.http.post("/api/v1/jobs", json={"texts": [ANSWERED] * 3}).json()["id"]
        assert site.events(finished)[-1][0] == "end"
        wait_until(lambda: settled(client), 60)
        running = site.http.post("/api/v1/jobs", json={"texts": ["!wait:hanner-go", TEXT]}).json()["id"]
        wait_until(lambda: client.llen("waiting"), 60)
        waiting = ner.submit(TEXT)
        ids = [job.id for job in answered] + [crash.id]
        before, runs_before = stored(client, ids), answered_runs(client)

        server.stop(kill=kill)
        server.start()

        assert stored(client, ids) == before
        assert None not in before[0]
        assert len(before[1][0]) == 1
        client.rpush("hanner-go", *["go"] * 10)  # the batch may run again
        assert waiting.result()[0].text == "马云"
        for job_id, texts in ((finished, 3), (running, 2)):
            wait_until(lambda job_id=job_id: site.job(job_id).json().get("state") == "done", 60)
            answer = site.job(job_id).json()
            assert (answer["total"], answer["done"], answer["failed"]) == (texts, texts, 0)
            assert answer["documents"][-1]["entities"][0]["text"] == "马云"
        wait_until(lambda: not unacked(client), 60)
        assert sum(client.llen(name) for name in KEYS.lists) == 0
        assert answered_runs(client) == runs_before
        assert stored(client, ids) == before
    assert "CRITICAL" not in server.log


def test_doctor_reports_a_default_user_that_cannot_load_everything(server):
    """It needs a user with the permission to read permissions."""
    name, version = server_version()
    affected = version < LOADS_ALL[name]

    def levels(user):
        results = list(run_checks(server.url(user), 0.1))
        return [result.level for result in results if result.subject == "restart"]

    assert levels("admin") == [Level.OK] * affected
    assert levels("app") == [Level.WARN] * affected
    server.admin.execute_command("ACL", "SETUSER", "default", "-@all")
    assert levels("admin") == [Level.FAIL] * affected
