"""The stack as a user uses it: the page, the curl line, the client, Flower."""

import io
import json
import subprocess
import urllib.error
import urllib.request

import httpx
import pytest

from hanner import Client
from support.docker_stack import get, run
from support.waiting import wait_until

TEXT = "马云在杭州阿里巴巴总部发表演讲"
METRICS = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9808/metrics').read().decode())"


def test_curl_line_of_the_readme_works(stack):
    done = subprocess.run(
        [
            *("curl", "--fail", "--silent", stack.url("gateway", "/api/v1/ner")),
            *("-H", "Content-Type: application/json", "-d", json.dumps({"text": TEXT})),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)["entities"]
    assert {"text": "马云", "type": "PER"}.items() <= found[0].items()


def test_page_is_served(stack):
    assert "<html" in get(stack.url("gateway", "/"))
    assert json.loads(get(stack.url("gateway", "/readyz"))) == {"status": "ok"}


def test_two_gateways_share_a_range_of_ports_and_their_jobs(stack):
    first = stack.ports["gateway"]
    try:
        stack.compose("up", "--detach", "--scale", "gateway=2", env={"GATEWAY_PORT": f"{first}-{first + 20}"})
        stack.wait_healthy("gateway")
        addresses = [run("docker", "port", container).stdout for container in stack.containers("gateway")]
        one, other = (f"http://{address.rpartition('-> ')[2].strip()}" for address in addresses)
        assert one != other
        body = json.dumps({"texts": [TEXT]}).encode()
        request = urllib.request.Request(f"{one}/api/v1/jobs", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            job = json.loads(response.read())["id"]
        wait_until(lambda: json.loads(get(f"{other}/api/v1/jobs/{job}"))["state"] == "done")
    finally:
        stack.compose("up", "--detach", "--scale", "gateway=1")
        stack.wait_healthy("gateway")


UPLOAD_BYTES = 99_000_000


def upload(stack, size):
    """Upload a file of about `size` bytes as a job; return the response."""
    line = "字" * 30_000 + "\n"
    content = io.BytesIO(line.encode() * max(1, size // len(line.encode())))
    return httpx.post(stack.url("gateway", "/api/v1/jobs"), files={"file": ("texts.txt", content)}, timeout=180)


def test_largest_file_is_uploaded(stack):
    response = upload(stack, UPLOAD_BYTES)
    assert response.status_code == 202, response.text
    assert httpx.delete(stack.url("gateway", response.headers["location"]), timeout=60).status_code == 204


def test_upload_is_refused_while_there_is_no_space_for_it(stack):
    # A write that fills the folder fails.
    stack.execute("gateway", "dd", "if=/dev/zero", "of=/tmp/other", "bs=1M", check=False)
    try:
        refused = upload(stack, 5_000_000)
    finally:
        stack.execute("gateway", "rm", "/tmp/other")
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert "no space" in refused.json()["detail"]
    assert "retry-after" in refused.headers
    accepted = upload(stack, 5_000_000)
    assert accepted.status_code == 202
    assert httpx.delete(stack.url("gateway", accepted.headers["location"]), timeout=60).status_code == 204


def test_program_outside_the_stack_uses_the_client(stack):
    with Client(stack.broker_url(), timeout=60) as ner:
        assert ner.extract(TEXT)[0].text == "马云"


def test_redis_requires_authentication(stack):
    port = str(stack.ports["redis"])
    assert "NOAUTH" in answer_of_redis(port, b"LLEN hanner\r\n")
    assert "WRONGPASS" in answer_of_redis(port, b"AUTH default x\r\n")
    assert "NOPERM" in answer_of_redis(port, b"AUTH health x\r\nLLEN hanner\r\n")


def answer_of_redis(port, lines):
    return subprocess.run(
        ["curl", "--silent", "--max-time", "3", f"telnet://127.0.0.1:{port}"],
        input=lines + b"QUIT\r\n",
        capture_output=True,
        check=False,
    ).stdout.decode()


def test_redis_users_cannot_run_dangerous_commands(stack):
    url = stack.broker_url()
    with Client(url) as ner:
        ner.extract(TEXT)
    program = """
import redis, sys
client = redis.Redis.from_url(open("/run/secrets/hanner/broker-url").read().strip())
for command in ("FLUSHALL", "CONFIG GET dir", "SHUTDOWN", "KEYS *", "ACL LIST", "REPLICAOF a 1"):
    try:
        client.execute_command(*command.split())
    except redis.exceptions.NoPermissionError:
        print(command)
"""
    refused = stack.execute("worker", "python", "-c", program).splitlines()
    assert len(refused) == 6, refused


def denials_and_unblocks(stack):
    """Return how often Redis denied a command to a user, and how often a worker unblocked its own client."""
    program = """
import json, redis
client = redis.Redis.from_url(open("/run/secrets/hanner/broker-url").read().strip(), decode_responses=True)
print(json.dumps([client.info(section) for section in ("errorstats", "commandstats")]))
"""
    errors, commands = json.loads(stack.execute("worker", "python", "-c", program))
    counts = (errors.get("errorstat_NOPERM", {}), "count"), (commands.get("cmdstat_client|unblock", {}), "calls")
    return [section.get(name, 0) for section, name in counts]


def test_no_command_of_the_stack_is_denied(stack):
    """The worker is idle before each single bulk text, so it has to unblock its client."""
    denied, unblocked = denials_and_unblocks(stack)
    with Client(stack.broker_url(), timeout=60) as ner:
        for _ in range(3):
            assert ner.extract(TEXT, priority="bulk")[0].text == "马云"
            assert ner.extract(TEXT)[0].text == "马云"
        job = ner.submit_many([TEXT] * 50)
        assert all(document.entities for document in job.result())
        assert ner.backlog().workers
    for path in ("/api/v1/status", "/metrics", "/readyz"):
        assert get(stack.url("gateway", path))
    stack.execute("worker", "hanner", "probe", "--timeout", "20")
    assert "hanner_worker_queue_wait_seconds" in stack.execute("worker", "python", "-c", METRICS)
    now = denials_and_unblocks(stack)
    assert now[0] == denied
    assert now[1] > unblocked


def test_gateway_is_ready_behind_a_bulk_backlog(stack):
    with Client(stack.broker_url(), timeout=60, max_queue=0) as ner:
        jobs = [ner.submit_many([f"第{n}次，{TEXT * 8}{m}。" for m in range(250)]) for n in range(240)]
        try:
            stack.compose("restart", "gateway")
            stack.wait_healthy("gateway", "worker")
            assert json.loads(get(stack.url("gateway", "/readyz"))) == {"status": "ok"}
            assert ner.backlog().bulk + ner.backlog().unacked > 0  # a worker prefetches up to a few hundred requests
        finally:
            for job in jobs:
                job.revoke()


def test_flower_lists_the_request_and_requires_a_password(stack):
    with Client(stack.broker_url(), timeout=60) as ner:
        job = ner.submit(TEXT)
        job.result()
    url = stack.url("flower", f"/api/task/info/{job.id}")
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        get(url)
    refused.value.close()
    auth = ("hanner", stack.execute("flower", "cat", "/run/secrets/hanner/password").strip())
    task = json.loads(get(url, auth))
    assert (task["name"], task["state"]) == ("hanner.extract", "SUCCESS")
    assert TEXT not in json.dumps(task, ensure_ascii=False)


def test_no_password_appears_in_logs_or_docker_inspect(stack):
    secrets = [
        stack.execute("worker", "cat", "/run/secrets/hanner/broker-url").strip().split(":")[2].partition("@")[0],
        stack.execute("flower", "cat", "/run/secrets/hanner/password").strip(),
    ]
    shown = stack.compose("logs", "--no-color")
    shown += json.dumps([stack.inspect(name) for name in ("redis", "worker", "gateway", "flower")])
    for secret in secrets:
        assert len(secret) >= 24
        assert secret not in shown


def test_passwords_survive_a_second_start(stack):
    before = stack.broker_url()
    stack.compose("up", "--detach", "init")
    run("docker", "wait", stack.compose("ps", "-aq", "init").split()[0])
    assert stack.broker_url() == before


def test_stack_uses_a_redis_outside(stack):
    name = f"{stack.project}-outside"
    image = stack.inspect("redis")[0]["Config"]["Image"]
    run("docker", "run", "--detach", "--name", name, "--network", f"{stack.project}_front", image)
    try:
        stack.set_secret("broker-url", f"redis://{name}:6379/0")
        stack.compose("up", "--detach", files=["own-redis.yaml"])
        stack.wait_healthy("worker", "gateway", "flower")
        assert json.loads(get(stack.url("gateway", "/api/v1/status")))["workers"]
        keys = run("docker", "exec", name, "redis-cli", "SMEMBERS", "hanner:queues").stdout.split()
        assert keys == ["hanner"]
    finally:
        stack.compose("up", "--detach")
        run("docker", "rm", "--force", name)
        stack.wait_healthy("redis", "worker", "gateway", "flower")
