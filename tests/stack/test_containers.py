"""Users, writable folders, ports and sizes of the containers."""

import ipaddress
import json
import os
from pathlib import Path

import pytest

from support.docker_stack import run

SERVICES = ("redis", "worker", "gateway", "flower")
UIDS = {"redis": 999, "worker": 10001, "gateway": 10001, "flower": 10001}
WRITABLE = {
    "redis": {"/tmp", "/data", "/dev/shm", "/dev/mqueue"},
    "worker": {"/tmp", "/dev/shm", "/dev/mqueue"},
    "gateway": {"/tmp", "/dev/shm", "/dev/mqueue"},
    "flower": {"/tmp", "/dev/shm", "/dev/mqueue", "/var/lib/flower"},
}
LISTENING = {"redis": {6379}, "worker": {9808}, "gateway": {8080}, "flower": {5555}}
LIMIT_MB = {"worker": 300, "gateway": 120}
"""Added to the base image."""


@pytest.mark.parametrize("service", SERVICES)
def test_container_runs_without_root_and_capabilities(stack, service):
    status = dict(
        line.split(":\t", 1) for line in stack.execute(service, "cat", "/proc/1/status").splitlines() if ":\t" in line
    )
    assert set(status["Uid"].split()) == {str(UIDS[service])}
    assert "0" not in status["Gid"].split()
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("service", SERVICES)
def test_only_these_folders_are_writable(stack, service):
    mounts = stack.execute(service, "sh", "-c", "cut -d' ' -f2 /proc/mounts").split()
    # The root file system is read-only; folders mounted into it may be writable.
    tried = sorted({"/", "/etc", "/opt", "/usr", "/var", "/home", "/root", "/run", *mounts})
    script = 'for f in "$@"; do [ -d "$f" ] && t=$(mktemp "$f/XXXXXX" 2>/dev/null) && rm "$t" && echo "$f"; done; true'
    written = set(stack.execute(service, "sh", "-c", script, "sh", *tried).split())
    assert written <= WRITABLE[service]
    assert "/tmp" in written


@pytest.mark.parametrize("service", SERVICES)
def test_container_has_limits(stack, service):
    (info,) = stack.inspect(service)[:1]
    host = info["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert info["Config"]["Healthcheck"]["Test"]
    assert not host["Privileged"]


@pytest.mark.parametrize("service", SERVICES)
def test_container_listens_only_on_its_port(stack, service):
    (info,) = stack.inspect(service)[:1]
    bound = [place for places in info["NetworkSettings"]["Ports"].values() for place in places or []]
    assert {place["HostIp"] for place in bound} <= {"127.0.0.1"}
    tables = stack.execute(service, "sh", "-c", "cat /proc/net/tcp /proc/net/tcp6").splitlines()
    rows = [line.split() for line in tables if not line.lstrip().startswith("sl")]
    sockets = [row[1].rsplit(":", 1) for row in rows if row[3] == "0A"]
    outward = {int(port, 16) for address, port in sockets if not is_loopback(address)}
    assert outward <= LISTENING[service]


def is_loopback(address):
    """Return whether an address in the format of /proc/net (words of four bytes in native order) is loopback."""
    words = [bytes.fromhex(address[n : n + 8])[::-1] for n in range(0, len(address), 8)]
    return ipaddress.ip_address(b"".join(words)).is_loopback


def test_published_ports_are_on_loopback(stack):
    ports = {stack.ports[name] for name in ("gateway", "flower", "redis")}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row[1].split(":") for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) in ports]
    assert len(listening) == 3
    assert all(is_loopback(address) for address, _ in listening)


def test_redis_and_workers_are_in_an_internal_network(stack):
    networks = run("docker", "network", "inspect", f"{stack.project}_back").stdout
    assert json.loads(networks)[0]["Internal"] is True
    assert set(stack.inspect("worker")[0]["NetworkSettings"]["Networks"]) == {f"{stack.project}_back"}


@pytest.mark.parametrize("service", LIMIT_MB)
def test_image_is_small(stack, service):
    base = os.environ.get("PYTHON_IMAGE", "python:3.11-slim-bookworm")
    image = stack.inspect(service)[0]["Image"]
    sizes = [json.loads(run("docker", "image", "inspect", name).stdout)[0]["Size"] for name in (image, base)]
    above = (sizes[0] - sizes[1]) / 1e6
    print(f"{service}: {above:.0f} MB above {base}")
    assert above <= LIMIT_MB[service]


@pytest.mark.parametrize("service", ["worker", "gateway", "flower"])
def test_image_contains_neither_torch_nor_pip(stack, service):
    program = "import importlib.util as u; print([n for n in ('torch', 'transformers', 'pip') if u.find_spec(n)])"
    assert stack.execute(service, "python", "-c", program).strip() == "[]"
