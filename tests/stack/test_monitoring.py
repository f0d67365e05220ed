"""The profile `monitoring`: Prometheus finds every worker and gateway; Grafana has its dashboard."""

import json
import os
import subprocess
import time
import urllib.parse

import pytest
import yaml

from support.docker_stack import ROOT, get

PATIENCE = 90
"""Seconds until Prometheus must have found everyone: it looks every ten, and scrapes every fifteen."""


def image_of(service):
    """Return the image that compose.yaml names for a service, and skip where it cannot be had."""
    declared = yaml.safe_load((ROOT / "compose/compose.yaml").read_text())["services"][service]["image"]
    variable, _, default = declared.strip("${}").partition(":-")
    image = os.environ.get(variable, default)
    for command in (("docker", "image", "inspect", image), ("docker", "pull", "--quiet", image)):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return image
    pytest.skip(f"the image {image} is not to be had here")


@pytest.fixture
def prometheus(stack):
    image_of("prometheus")
    stack.compose("up", "--detach", "prometheus")
    stack.wait_healthy("prometheus")
    return stack


def asked(stack, query):
    told = json.loads(get(stack.url("prometheus", f"/api/v1/query?{urllib.parse.urlencode({'query': query})}")))
    return {one["metric"]["job"]: float(one["value"][1]) for one in told["data"]["result"]}


def test_prometheus_finds_workers_and_gateways(prometheus):
    wanted = {"hanner-worker": 1, "hanner-gateway": 1, "prometheus": 1}
    began = time.monotonic()
    while (found := asked(prometheus, "sum by (job) (up)")) != wanted and time.monotonic() - began < PATIENCE:
        time.sleep(1)  # Prometheus tells nobody when it has scraped
    assert found == wanted


def test_prometheus_is_as_locked_down_as_the_rest(prometheus):
    status = prometheus.execute("prometheus", "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    assert "Uid:\t65534\t65534\t65534\t65534" in status
    assert prometheus.inspect("prometheus")[0]["HostConfig"]["ReadonlyRootfs"] is True


def test_grafana_has_its_dashboard(stack):
    image_of("grafana")
    stack.compose("up", "--detach", "grafana")
    stack.wait_healthy("grafana")
    auth = ("admin", stack.execute("grafana", "cat", "/run/secrets/hanner/admin-password").strip())
    found = json.loads(get(stack.url("grafana", "/api/search?type=dash-db"), auth))
    assert [one["title"] for one in found]
