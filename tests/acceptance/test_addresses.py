"""Client, asyncio client, worker, gateway, Flower and commands understand each form of an address."""

import asyncio
import json
import subprocess
import sys
from urllib.parse import quote

import pytest
import redis

from hanner import AsyncClient, Client
from hanner.cli.local_redis import find_server
from hanner.utils import processes
from support.flowers import flower
from support.gateways import gateway
from support.ports import free_port
from support.servers import require_server
from support.waiting import wait_until
from support.workers import worker

PASSWORD = "p@ss;w:rd%/#?[1]"
RAW = "p@ss;w:rd%[1]"
"""The part of such a password that needs no encoding in HANNER_BROKER_URL."""
TEXT = "马云在杭州"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with a socket, a password of special characters, and a user with another one."""
    require_server()
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    options = ("--port", str(port), "--unixsocket", str(folder / "redis.sock"), "--save", "", "--dir", str(folder))
    with (folder / "log").open("wb") as log:
        process = processes.start([find_server(), *options], output=log)
    try:
        with redis.Redis(port=port) as client:
            wait_until(client.ping, ignore=redis.RedisError)
            client.execute_command("ACL", "SETUSER", "app", "on", f">{RAW}", "~*", "&*", "+@all")
            client.config_set("requirepass", PASSWORD)
        yield {"port": port, "socket": folder / "redis.sock", "encoded": quote(PASSWORD, safe=""), "raw": RAW}
    finally:
        processes.stop(process, timeout=10)


FORMS = {
    "unix": "unix://:{encoded}@{socket}?db=1",
    "redis+socket": "redis+socket://app:{raw}@{socket}?virtual_host=2",
    "valkey with a raw password": " VALKEY://app:{raw}@127.0.0.1:{port}/3?protocol=3&socket_timeout=30 ",
    "double slash": "redis://:{encoded}@127.0.0.1:{port}//",
}


@pytest.fixture(scope="module", params=FORMS)
def url(request, server):
    return FORMS[request.param].format(**server)


@pytest.fixture(scope="module")
def running(url):
    with worker(url, "-c", "1") as running:
        yield running


async def extract(url):
    async with AsyncClient(url, timeout=60) as ner:
        return await ner.extract(TEXT)


def test_clients_worker_and_gateway(url, running):
    with Client(url, timeout=60) as ner, gateway(url, timeout=60) as site:
        assert [entity.text for entity in ner.extract(TEXT)] == ["马云"]
        assert [len(document.entities) for document in ner.stream([TEXT] * 100)] == [1] * 100
        assert len(asyncio.run(extract(url))) == 1
        ner.submit(TEXT, expires=60).revoke()
        assert len(site.ner(text=TEXT).json()["entities"]) == 1
        job = site.http.post("/api/v1/jobs", json={"texts": [TEXT] * 3}).json()
        assert site.events(job["id"])[-1][0] == "end"


def test_commands_show_no_part_of_the_password(url, running):
    for command in (("status",), ("doctor", "--json", "--timeout", "60"), ("probe", "--timeout", "60")):
        done = subprocess.run(
            [sys.executable, "-c", "from hanner.cli import main; main()", *command, "--broker", url],
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        if command[0] == "doctor":
            assert not [row for row in json.loads(done.stdout) if row["level"] == "fail"]
        for output in (done.stdout, done.stderr, running.output):
            assert "p@ss" not in output
            assert "w:rd" not in output
            assert "p%40ss" not in output


def test_flower(server, tmp_path):
    url = FORMS["unix"].format(**server)
    with worker(url, "-c", "1"), flower(url, tmp_path) as monitor, Client(url, timeout=60) as ner:
        monitor.wait_for_workers()
        job = ner.submit(TEXT)
        job.result()
        monitor.wait_for(lambda tasks: tasks.get(job.id, {}).get("state") == "SUCCESS")
        status, page = monitor.get("/broker")
        assert status == 200
        assert "p@ss" not in page
        assert "p%40ss" not in page
