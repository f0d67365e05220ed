"""Two gateways behind a real nginx, Caddy or Traefik with TLS, configured as compose/proxy shows."""

import contextlib
import io
import json
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.commands import command
from support.ports import free_port
from support.proxies import caddy, find, nginx, traefik
from support.servers import redis_server
from support.stub_worker import StubWorker
from support.waiting import wait_until

LIMIT = 20
UPLOAD_BYTES = 99_000_000
PROXIES = {"nginx": nginx, "caddy": caddy, "traefik": traefik}


@pytest.fixture(scope="module")
def server():
    with redis_server() as running:
        yield running


@contextlib.contextmanager
def gateways(url, **more):
    """Run two gateways; yield their processes and ports."""
    env = {"HANNER_BROKER_URL": url, "HANNER_PROXIES": "127.0.0.1", **more}
    options = ("--graceful-timeout", "1")
    ports = [free_port(), free_port()]
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(command("gateway", "--port", str(port), *options, env=env, timeout=600))
            for port in ports
        ]
        for process in running:
            assert any("Uvicorn running" in line for line in process.stdout)
        yield running, ports


@pytest.fixture(scope="module")
def ports(server):
    with gateways(server.url, HANNER_RATE_LIMIT=f"{LIMIT}/hour") as (_, ports):
        yield ports


@pytest.fixture(scope="module", params=PROXIES)
def proxy(request, ports, tmp_path_factory):
    if find(request.param) is None:
        pytest.skip(f"needs {request.param}")
    with PROXIES[request.param](tmp_path_factory.mktemp(request.param), ports) as running:
        yield running


@pytest.fixture
def worker(server):
    server.client.flushall()
    with StubWorker(server.url) as running:
        yield running


def test_each_caller_has_a_rate_limit_across_both_gateways(proxy, worker):
    with proxy.client("127.0.0.2") as first, proxy.client("127.0.0.3") as second:
        codes = [first.get("/api/v1/status").status_code for _ in range(LIMIT + 2)]
        assert codes == [200] * LIMIT + [429] * 2
        pretended = first.get("/api/v1/status", headers={"X-Forwarded-For": "192.0.2.1"})
        assert pretended.status_code == 429
        assert second.post("/api/v1/ner", json={"text": "马云"}).json()["entities"][0]["text"] == "马云"


def test_own_page_may_post_and_other_sites_may_not(proxy, worker):
    with proxy.client() as client:
        for origin, status in ((proxy.url, 200), ("https://evil.example", 403)):
            response = client.post("/api/v1/ner", json={"text": "马云"}, headers={"Origin": origin})
            assert response.status_code == status, response.text


def test_events_arrive_while_the_job_runs(proxy, worker):
    worker.hold()
    with proxy.client() as client:
        job = client.post("/api/v1/jobs", json={"texts": ["马云"] * 100}).json()
        worker.wait_for(1)
        with client.stream("GET", f"/api/v1/jobs/{job['id']}/events") as response:
            lines = response.iter_lines()
            assert next(lines) == "event: progress"  # the worker has answered nothing yet
            assert json.loads(next(lines).removeprefix("data: "))["done"] == 0
            worker.release()
            assert '"state":"done"' in "\n".join(lines)
        assert len(client.get(f"/api/v1/jobs/{job['id']}").json()["documents"]) == 100


def test_large_upload_passes(proxy, worker):
    line = ("字" * 30_000 + "\n").encode()
    content = io.BytesIO(line * (UPLOAD_BYTES // len(line)))
    with proxy.client() as client:
        response = client.post("/api/v1/jobs", files={"file": ("texts.txt", content)})
        assert response.status_code == 202, response.text
        assert response.json()["total"] == UPLOAD_BYTES // len(line)
        assert client.delete(response.headers["location"]).status_code == 204


@pytest.mark.parametrize("name", ["nginx", "traefik"])
def test_stopping_one_of_two_gateways_fails_no_request(server, worker, tmp_path, name):
    """It cancels what it cannot finish in a second; the proxy sends these requests to the other one."""
    if find(name) is None:
        pytest.skip(f"needs {name}")
    worker.hold()
    with (
        gateways(server.url) as (running, ports),
        PROXIES[name](tmp_path, ports) as proxy,
        proxy.client("127.0.0.4") as client,
        ThreadPoolExecutor(16) as threads,
    ):
        pending = [threads.submit(client.post, "/api/v1/ner", json={"text": f"马云{n}"}) for n in range(16)]
        worker.wait_for(16)
        running[0].send_signal(signal.SIGTERM)
        log = running[0].stdout.read()
        assert running[0].wait(60) == 0
        assert "POST /api/v1/ner 503 " in log  # it had some of the requests
        worker.release()
        assert [response.result(120).status_code for response in pending] == [200] * 16
        assert wait_until(lambda: client.get("/healthz").status_code == 200)
