"""With a real Prometheus, worker and gateway, every panel has data and every rule can be evaluated.

Run by `make test-monitoring`; skipped without promtool and prometheus.
"""

import subprocess
import threading
from contextlib import contextmanager

from support.gateways import gateway
from support.monitoring import CONFIG, alerts, panel_queries, prometheus, require_program
from support.ports import free_port
from support.servers import redis_server
from support.waiting import wait_until
from support.workers import worker


def test_configuration_is_valid():
    assert (
        subprocess.run(
            [require_program("promtool"), "check", "config", CONFIG.name], cwd=CONFIG.parent, check=False
        ).returncode
        == 0
    )


def test_alerts_fire_as_expected():
    command = [require_program("promtool"), "test", "rules", "alerts.test.yml"]
    assert subprocess.run(command, cwd=CONFIG.parent, check=False).returncode == 0


@contextmanager
def traffic(site):
    """Send texts until the block ends."""
    ended = threading.Event()

    def run():
        number = 0
        while not ended.is_set():
            number += 1
            site.ner(texts=[f"马云在杭州{number}", "王小明昨天去了北京大学"])
            site.ner(texts=[])

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(60)


def test_every_panel_has_data_and_every_rule_is_healthy(tmp_path, tiny_package):
    require_program("prometheus")
    port = free_port()
    env = {"HANNER_METRICS_PORT": str(port), "HANNER_MODEL": str(tiny_package)}
    with (
        redis_server() as server,
        worker(server.url, "-c", "1", app="hanner_worker", env=env),
        gateway(server.url) as site,
        prometheus(
            tmp_path, {"hanner-worker": [f"127.0.0.1:{port}"], "hanner-gateway": [f"127.0.0.1:{site.port}"]}
        ) as running,
        traffic(site),
    ):
        for title, query in panel_queries():
            wait_until(
                lambda query=query: running.values(query), why=lambda title=title, query=query: f"{title}: {query}"
            )
        (group,) = wait_until(
            lambda: [g for g in running.get("/api/v1/rules")["groups"] if all(r["health"] == "ok" for r in g["rules"])]
        )
        assert [rule["name"] for rule in group["rules"]] == [rule["alert"] for rule in alerts()]
        assert [rule["name"] for rule in group["rules"] if rule["state"] == "firing"] == []
        assert running.values('min(up{job=~"hanner-.+"})') == [1]
