"""The Redis users of the stack have all permissions that worker, gateway and client need."""

import importlib.util
from pathlib import Path

import pytest

from hanner import Client
from support.gateways import gateway
from support.workers import worker

MAKE_SECRETS = Path(__file__).parents[2] / "compose" / "init" / "make_secrets.py"
TEXT = "马云在杭州"


@pytest.fixture
def urls(server):
    """URLs of a Redis with the stack's users, by user."""
    spec = importlib.util.spec_from_file_location("make_secrets", MAKE_SECRETS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for user, rules in module.RULES.items():
        server.client.execute_command(f"ACL SETUSER {user} on >password resetkeys resetchannels {rules}")
    return {user: server.url.replace("://", f"://{user}:password@") for user in module.RULES}


def refused(server):
    return [
        (entry["username"], entry["reason"], entry["object"])
        for entry in server.client.acl_log()
        if entry["reason"] != "auth"
    ]


def test_no_command_of_worker_gateway_and_client_is_denied(server, urls):
    """A single bulk text reaches an idle worker, which has to unblock its client. It is stopped while it blocks."""
    with worker(urls["worker"], "-c", "1") as running:
        with Client(urls["app"], timeout=60) as ner:
            assert ner.extract(TEXT)[0].text == "马云"
            assert ner.extract(TEXT, priority="bulk")[0].text == "马云"
            assert all(found.entities for found in ner.submit_many([TEXT] * 100).result())
            assert ner.backlog().workers
        with gateway(urls["gateway"]) as site:
            assert site.http.get("/readyz").status_code == 200
            assert site.http.get("/metrics").status_code == 200
            assert site.http.get("/api/v1/status").json()["workers"]
        assert server.client.info("commandstats")["cmdstat_client|unblock"]["calls"] >= 1
        assert running.stop() == 0
    assert refused(server) == []


def test_worker_without_client_unblock_warns_once_and_works(server, urls):
    server.client.execute_command("ACL SETUSER worker -client|unblock")
    with worker(urls["worker"], "-c", "1") as running, Client(urls["app"], timeout=60) as ner:
        for _ in range(3):
            assert ner.extract(TEXT, priority="bulk")[0].text == "马云"
        running.wait_for("no permission for CLIENT UNBLOCK")
        assert ner.extract(TEXT)[0].text == "马云"
        assert running.stop() == 0
    assert [line for line in running.lines if "UNBLOCK" in line][1:] == []
    assert not [line for line in running.lines if "Connection to broker lost" in line]
