"""Dashboard and alerts use existing metrics, and are documented."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from hanner import Client
from support.gateways import gateway
from support.monitoring import ALERTS, CONFIG, DASHBOARD, NAME, ROOT, alerts, panel_queries, panels
from support.ports import free_port
from support.scrapes import scrape
from support.servers import redis_server
from support.workers import worker

DOCS = Path(__file__).parents[2] / "docs" / "how-to" / "observability.md"
REFERENCE = DOCS.parents[1] / "reference" / "metrics.md"


@pytest.fixture(scope="module")
def exported():
    """Scrapes of a real worker and a real gateway."""
    port = free_port()
    with (
        redis_server() as server,
        worker(server.url, "-c", "1", env={"HANNER_METRICS_PORT": str(port)}),
        gateway(server.url) as site,
    ):
        assert site.ner(text="马云在杭州").status_code == 200
        with Client(server.url) as ner:
            ner.extract("马云")
        yield {"worker": scrape(f"127.0.0.1:{port}"), "gateway": scrape(f"127.0.0.1:{site.port}")}


def test_every_metric_in_a_panel_or_alert_is_exported(exported):
    names = exported["worker"].names | exported["gateway"].names
    queries = [query for _, query in panel_queries()] + [rule["expr"] for rule in alerts()]
    queries += [variable["definition"] for variable in json.loads(DASHBOARD.read_text())["templating"]["list"][1:]]
    named = {name for query in queries for name in NAME.findall(query)}
    assert len(named) > 25
    assert named - names == set()


NOT_IN_A_PANEL = {
    "hanner_queue_scheduled_due_seconds": 'for autoscaling from zero; the panel "Queue" has the number',
}


def test_every_documented_metric_is_in_a_panel():
    documented = set(re.findall(r"^\| `(hanner_\w+)`", REFERENCE.read_text("utf-8"), re.MULTILINE))
    named = {name for _, query in panel_queries() for name in NAME.findall(query)}
    shown = named | {re.sub(r"_(bucket|sum|count)$", "", name) for name in named}
    assert documented - shown == set(NOT_IN_A_PANEL)


def test_every_label_value_in_an_alert_is_exported(exported):
    labels = [labels for page in exported.values() for _, labels in page.samples]
    exist = {name: {value for pairs in labels for key, value in pairs if key == name} for name in ("outcome", "reason")}
    for rule in alerts():
        for name, values in re.findall(r'(outcome|reason)!?=~?"([^"]+)"', rule["expr"]):
            assert set(values.split("|")) <= exist[name], rule["alert"]


def test_every_panel_has_a_description_and_its_own_position():
    rows = [panel["title"] for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] == "row"]
    assert rows == ["Traffic", "Latency", "Batching", "Health"]
    for panel in panels():
        assert len(panel["description"]) > 40, panel["title"]
        assert panel["targets"], panel["title"]
    everything = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in panels()}) == len(panels())
    cells = Counter()
    for panel in everything:
        at = panel["gridPos"]
        rows, columns = range(at["y"], at["y"] + at["h"]), range(at["x"], at["x"] + at["w"])
        cells.update((y, x) for y in rows for x in columns)
        assert at["x"] + at["w"] <= 24
    assert set(cells.values()) == {1}


def test_every_alert_is_tested_and_documented():
    tested = (ROOT / "prometheus" / "alerts.test.yml").read_text()
    headings = {line.strip("# ").lower() for line in DOCS.read_text().splitlines() if line.startswith("#")}
    for rule in alerts():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert {"summary", "description", "runbook"} <= set(rule["annotations"])
        assert (
            f"- exp_labels: {{severity: {rule['labels']['severity']}"
            in tested.partition(f"alertname: {rule['alert']}\n        exp_alerts:\n")[2]
        ), rule["alert"]
        page, _, section = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/how-to/observability.md"
        assert section == rule["alert"].lower()
        assert section in headings


def test_prometheus_discovers_every_container_of_a_service():
    config = yaml.safe_load(CONFIG.read_text())
    assert config["rule_files"] == [ALERTS.name]
    found = {job["job_name"]: job for job in config["scrape_configs"]}
    for service, port in (("worker", 9808), ("gateway", 8080)):
        (discovery,) = found[f"hanner-{service}"]["dns_sd_configs"]
        assert (discovery["names"], discovery["type"], discovery["port"]) == ([service], "A", port)


def test_worker_and_gateway_share_only_metrics_of_queue_and_version(exported):
    both = exported["worker"].names & exported["gateway"].names
    assert all(name.startswith("hanner_queue_") or name == "hanner_build_info" for name in both)


def test_documented_metrics_are_the_exported_ones(exported):
    expected = {
        "The queue": exported["gateway"].table(("hanner_queue_", "hanner_build_info")),
        "A worker": exported["worker"].table(("hanner_worker_", "hanner_model_info")),
        "A gateway": exported["gateway"].table("hanner_http_"),
    }
    sections = re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", REFERENCE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    found = {title: "\n".join(re.findall(r"^\| `hanner_.*$", text, re.MULTILINE)) for title, text in sections}
    assert found == expected
