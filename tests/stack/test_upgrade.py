"""An upgrade of worker and gateway under load, behind a real nginx: no request is lost or refused."""

import asyncio
import shutil
import subprocess
import threading
from collections import Counter

import httpx
import pytest

from support.docker_stack import run
from support.ports import free_port
from support.waiting import wait_until

RATE = 50
"""Requests per second."""
MAX_UNANSWERED = 100
"""Requests without an answer at which a busy machine gets no further one."""
NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    upstream hanner {{ {servers} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://hanner;
            proxy_set_header Host $http_host;
            proxy_next_upstream error timeout http_503 non_idempotent;
            proxy_read_timeout 120s;
        }}
    }}
}}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@pytest.fixture
def ports():
    first = free_port()
    return first, first + 1


@pytest.fixture
def variables(ports):
    return {"GATEWAY_PORT": "{}-{}".format(*ports), "HANNER_TIMEOUT": "120"}


@pytest.fixture
def proxy(ports, tmp_path):
    """Run nginx before the two gateways; yield its URL."""
    if not (program := shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")):
        pytest.skip("nginx is not installed")
    port = free_port()
    servers = " ".join(f"server 127.0.0.1:{one} fail_timeout=1s;" for one in ports)
    config = NGINX.format(folder=tmp_path, port=port, servers=servers)
    paths = "".join(f"{name}_temp_path {tmp_path}/{name};\n" for name in TEMPORARY)
    (tmp_path / "nginx.conf").write_text(config.replace("access_log off;", f"access_log off;\n{paths}"))
    process = subprocess.Popen([program, "-e", tmp_path / "error.log", "-c", tmp_path / "nginx.conf"])
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(60)


async def send(url, ended, outcomes):
    """Send requests at a fixed rate until the event is set, and count their outcomes."""
    # Each request has its own connection: nginx may close an idle one while the client sends the next request.
    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=180, limits=limits) as http:

        async def ask(number):
            try:
                answer = await http.post("/api/v1/ner", json={"text": f"第{number}次，马云在杭州发表演讲。"})
                found = any(entity["text"] == "马云" for entity in answer.json().get("entities", ()))
                outcomes["ok" if found else f"{answer.status_code} {answer.text[:200]}"] += 1
            except httpx.HTTPError as error:
                outcomes[repr(error)] += 1

        tasks, number, loop = set(), 0, asyncio.get_running_loop()
        started = loop.time()
        while not ended.is_set():
            if len(tasks) < MAX_UNANSWERED:
                task = loop.create_task(ask(number))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            number += 1
            await asyncio.sleep(max(0.0, started + number / RATE - loop.time()))
        await asyncio.gather(*tasks)


def images(stack):
    return {service: stack.inspect(service)[0]["Image"] for service in ("worker", "gateway", "flower")}


def change_code(folder):
    """Change what the images contain, as a new version does."""
    path = folder / "producer" / "hanner" / "contract.py"
    path.write_text(f"{path.read_text('utf-8')}\n# a new version\n", "utf-8")


def test_upgrade_under_load_loses_and_refuses_no_request(stack, proxy, variables):
    stack.compose("up", "--detach", "--scale", "gateway=2", env=variables)
    stack.wait_healthy("redis", "worker", "gateway", "flower")
    try:
        before, (redis,) = images(stack), stack.inspect("redis")
        change_code(stack.folder)
        stack.compose("build", env=variables)
        outcomes, ended = Counter(), threading.Event()
        load = threading.Thread(target=lambda: asyncio.run(send(proxy, ended, outcomes)))
        load.start()
        try:
            wait_until(lambda: outcomes["ok"] > RATE, 60)
            stack.script("upgrade.sh", env=variables)
        finally:
            ended.set()
            load.join()
        print(f"outcomes: {outcomes}")
        assert set(outcomes) == {"ok"}
        after = images(stack)
        assert all(after[service] != before[service] for service in before)
        assert len(stack.containers("gateway")) == 2
        assert len(stack.containers("worker")) == 1
        assert stack.inspect("redis")[0]["State"]["StartedAt"] == redis["State"]["StartedAt"]
        dangling = run(
            *("docker", "image", "ls", "--quiet", "--no-trunc", "--filter", "dangling=true"),
            *("--filter", "label=org.opencontainers.image.title=hanner"),
        ).stdout.split()
        assert not set(before.values()) & set(dangling)
    finally:
        stack.compose("up", "--detach", "--scale", "gateway=1")
        stack.wait_healthy("redis", "worker", "gateway", "flower")


def test_up_with_new_images_does_not_restart_redis(stack):
    """`up` recreates only what has changed: init, for which Redis waits, has an image of its own."""
    (redis,) = stack.inspect("redis")
    change_code(stack.folder)
    stack.compose("build")
    stack.compose("up", "--detach")
    stack.wait_healthy("redis", "worker", "gateway", "flower")
    (now,) = stack.inspect("redis")
    assert (now["Id"], now["State"]["StartedAt"]) == (redis["Id"], redis["State"]["StartedAt"])
