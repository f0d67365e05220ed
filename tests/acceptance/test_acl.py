"""The permissions of the stack's Redis users suffice for every part of hanner, on a real server."""

import subprocess
import sys

import pytest

from hanner import Client
from support.flowers import flower
from support.gateways import gateway
from support.servers import redis_server
from support.stack_redis import make_secrets
from support.workers import foreign_app, found, worker

TEXT = "马云在杭州"
RECORDS = ("~runs", "~runners", "~waiting", "~deaths")
"""Keys of the scripted model."""


@pytest.fixture(scope="module")
def server():
    with redis_server() as running:
        for user, rule in make_secrets().RULES.items():
            extra = RECORDS if user == "worker" else ()
            running.client.execute_command("ACL", "SETUSER", user, "reset", "on", ">p", *rule.split(), *extra)
        yield running


@pytest.fixture
def url(server):
    """Return the URL of a user; at the end, no command of any user was denied."""
    server.client.acl_log_reset()
    yield lambda user: server.url.replace("//", f"//{user}:p@")
    denied = [(entry["username"], entry["reason"], entry["object"]) for entry in server.client.acl_log()]
    assert set(denied) <= {("app", "command", "acl|getuser")}  # `hanner doctor` tries it where the permissions matter


@pytest.fixture
def running(url):
    with worker(url("worker"), "-c", "1") as running:
        yield running


def test_client_gateway_and_commands(url, running):
    with Client(url("app"), timeout=60) as ner, gateway(url("gateway"), rate_limit="1000/minute") as site:
        assert len(ner.extract(TEXT)) == 1
        assert len(list(ner.stream([TEXT] * 100))) == 100
        ner.submit(TEXT, expires=60).revoke()
        assert len(site.ner(text=TEXT).json()["entities"]) == 1
        job = site.http.post("/api/v1/jobs", json={"texts": [TEXT] * 3}).json()
        assert site.events(job["id"])[-1][0] == "end"
    for command in ("status", "doctor"):
        start = [sys.executable, "-c", "from hanner.cli import main; main()", command, "--broker", url("app")]
        done = subprocess.run(start, capture_output=True, encoding="utf-8", timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_another_celery_app_with_its_canvas(url, running, server):
    with foreign_app(url("app")) as app:
        request = app.signature("hanner.extract", [TEXT], queue="hanner")
        assert found(request.apply_async()) == 1
        assert found(request.apply_async(countdown=1)) == 1
        request.apply_async(link=app.signature("shop.next", queue="celery")).get(timeout=60)
        assert server.client.blpop(["celery"], timeout=60)


def test_flower(url, running, tmp_path):
    with flower(url("flower"), tmp_path) as monitor, Client(url("app"), timeout=60) as ner:
        monitor.wait_for_workers()
        job = ner.submit(TEXT)
        job.result()
        monitor.wait_for(lambda tasks: tasks.get(job.id, {}).get("state") == "SUCCESS")


def test_a_bulk_request_reaches_an_idle_worker(url, running, server):
    """The worker has to unblock its client. It is stopped while it blocks."""
    with Client(url("app"), timeout=60) as ner:
        assert ner.extract(TEXT)[0].text == "马云"
        assert ner.extract(TEXT, priority="bulk")[0].text == "马云"
        assert ner.backlog().workers
    assert server.client.info("commandstats")["cmdstat_client|unblock"]["calls"] >= 1
    assert running.stop() == 0


def test_worker_without_client_unblock_warns_once_and_works(url, server):
    server.client.execute_command("ACL", "SETUSER", "worker", "-client|unblock")
    with worker(url("worker"), "-c", "1") as running, Client(url("app"), timeout=60) as ner:
        for _ in range(3):
            assert ner.extract(TEXT, priority="bulk")[0].text == "马云"
        running.wait_for("no permission for CLIENT UNBLOCK")
        assert ner.extract(TEXT)[0].text == "马云"
        assert running.stop() == 0
    assert [line for line in running.lines if "UNBLOCK" in line][1:] == []
    assert not [line for line in running.lines if "Connection to broker lost" in line]
    server.client.execute_command("ACL", "SETUSER", "worker", "+client|unblock")
    server.client.acl_log_reset()  # the denied command was intended
