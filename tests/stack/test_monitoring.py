"""The profile `monitoring`: Prometheus discovers every worker and gateway, and Grafana has the dashboard."""

import json
import os
import subprocess
import time
import urllib.parse

import pytest
import yaml

from hanner import Client
from support.docker_stack import ROOT, get
from support.waiting import wait_until

TEXT = "马云在杭州阿里巴巴总部发表演讲"
TIMEOUT = 90
"""Seconds until Prometheus must have discovered all targets: it looks them up every 10 s and scrapes every 15 s."""


def image_of(service):
    """Return the image of a service in compose.yaml. Skip the test if it cannot be pulled."""
    declared = yaml.safe_load((ROOT / "compose/compose.yaml").read_text())["services"][service]["image"]
    variable, _, default = declared.strip("${}").partition(":-")
    image = os.environ.get(variable, default)
    for command in (("docker", "image", "inspect", image), ("docker", "pull", "--quiet", image)):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return image
    pytest.skip(f"the image {image} is not available here")


@pytest.fixture
def prometheus(stack):
    image_of("prometheus")
    stack.compose("up", "--detach", "prometheus")
    stack.wait_healthy("prometheus")
    return stack


def query(stack, expression):
    answer = json.loads(get(stack.url("prometheus", f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")))
    return {one["metric"]["job"]: float(one["value"][1]) for one in answer["data"]["result"]}


def test_prometheus_discovers_workers_and_gateways(prometheus):
    expected = {"hanner-worker": 1, "hanner-gateway": 1, "prometheus": 1}
    began = time.monotonic()
    while (found := query(prometheus, "sum by (job) (up)")) != expected and time.monotonic() - began < TIMEOUT:
        time.sleep(1)  # Prometheus has no notification of scrapes
    assert found == expected


def test_second_model_is_served_and_scraped_beside_the_first(prometheus):
    """Both have the bundled model; what is tested is that requests reach the queue of the second one."""
    prometheus.compose("--profile", "second-model", "up", "--detach", "--no-recreate", "second-worker")
    try:
        prometheus.wait_healthy("second-worker")
        with Client(prometheus.broker_url(), timeout=60) as ner:
            assert ner.extract(TEXT, model="second")[0].text == "马云"
            (worker,) = ner.backlog(model="second").workers
        assert worker.host.endswith(prometheus.container("second-worker")[:12])
        workers = "max by (job) (hanner_queue_workers{queue='hanner.second'})"
        wait_until(lambda: query(prometheus, workers).get("hanner-worker") == 1, TIMEOUT)
    finally:
        prometheus.compose("--profile", "second-model", "rm", "--force", "--stop", "second-worker")


def test_prometheus_is_hardened(prometheus):
    status = prometheus.execute("prometheus", "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    assert "Uid:\t65534\t65534\t65534\t65534" in status
    assert prometheus.inspect("prometheus")[0]["HostConfig"]["ReadonlyRootfs"] is True


def test_grafana_has_the_dashboard(stack):
    image_of("grafana")
    stack.compose("up", "--detach", "grafana")
    stack.wait_healthy("grafana")
    auth = ("admin", stack.execute("grafana", "cat", "/run/secrets/hanner/admin-password").strip())
    found = json.loads(get(stack.url("grafana", "/api/search?type=dash-db"), auth))
    assert [one["title"] for one in found]
