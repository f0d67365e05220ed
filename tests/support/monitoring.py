"""The queries in compose/prometheus and compose/grafana, and a Prometheus to run them with."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from support.ports import free_port
from support.waiting import wait_until

ROOT = Path(__file__).parents[2] / "compose"
CONFIG = ROOT / "prometheus" / "prometheus.yml"
ALERTS = ROOT / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "grafana" / "dashboards" / "hanner.json"
NAME = re.compile(r"\b(?:hanner_\w+|process_\w+)\b")
VARIABLES = {"$__rate_interval": "10s", "$queue": ".*", "$instance": ".*"}


def panels():
    """Return the panels of the dashboard without its row headings."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def panel_queries():
    """Return (title, query) of all panels, with Grafana's variables replaced by values."""
    queries = [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]
    for name, value in VARIABLES.items():
        queries = [(title, query.replace(name, value)) for title, query in queries]
    return queries


def alerts():
    """Return the alerting rules."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def require_program(program):
    """Return the path of a program. Skip the test if it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed; on Debian: apt-get install prometheus")
    return found


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port):
        self._url = f"http://127.0.0.1:{port}"

    def get(self, path, **parameters):
        address = f"{self._url}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=10) as response:
            return json.load(response)["data"]

    def values(self, query):
        """Return the current values of a query, without NaN."""
        found = [float(sample["value"][1]) for sample in self.get("/api/v1/query", query=query)["result"]]
        return [value for value in found if value == value]  # noqa: PLR0124 - NaN is not


@contextmanager
def prometheus(folder, targets):
    """Run Prometheus with the configuration of compose/, but with static targets and a scrape interval of one second.

    Args:
        folder: An empty folder.
        targets: Maps a job's name to the addresses of its targets.
    """
    config = yaml.safe_load(CONFIG.read_text())
    config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(ALERTS)]
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    config["scrape_configs"] = [
        {key: value for key, value in jobs[name].items() if key != "dns_sd_configs"}
        | {"static_configs": [{"targets": addresses}]}
        for name, addresses in targets.items()
    ]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        require_program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    running = Prometheus(port)
    try:
        wait_until(lambda: running.get("/api/v1/status/runtimeinfo"), why=(folder / "log").read_text)
        yield running
    finally:
        process.terminate()
        process.wait(60)
        print((folder / "log").read_text())  # noqa: T201 - pytest shows it if the test fails
