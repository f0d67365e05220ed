"""How a worker starts, and how it fails to start: one line, no traceback, no restart loop."""

import importlib
import json
import os
import subprocess
import sys

import psutil
import pytest
from celery.app.utils import find_app

from hanner.settings import Settings
from hanner_worker.time_slices import SECONDS, read_slice
from support.scripted_worker import make
from support.servers import redis_server
from support.waiting import wait_until
from support.workers import TESTS, foreign_app, worker


def start_fails(*options, app="hanner_worker", **variables):
    """Start a worker that must not start; return its messages, and assert that it exited."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "HANNER_BROKER_URL": "redis://127.0.0.1:1/0", **variables}
    command = [sys.executable, "-m", "celery", "-A", app, "worker", *options]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stdout + ended.stderr
    return [line for line in ended.stderr.splitlines() if line.startswith("hanner: ")]


@pytest.mark.parametrize("attempt", range(6))
def test_remote_control_reaches_a_worker_that_says_it_is_ready(attempt, server, app):
    """Celery subscribes to remote control after that: 1 of 12 commands was lost."""
    with worker(server.url, "-c", "1"):
        assert app.control.ping(timeout=60, limit=1), attempt


def test_pool_processes_have_longer_time_slices_than_the_parent(server, app):
    with worker(server.url, "-c", "2") as running:
        parent = psutil.Process(running.process.pid)
        first, second = parent.children()
        # Celery ends a worker whose process dies before the parent's event loop runs, so that must run first.
        assert app.send_task("hanner.extract", ["马云在杭州"]).get(timeout=60)
        if not read_slice(first.pid):
            pytest.skip("this kernel does not show time slices; Linux 6.12 and later do")
        first.kill()
        wait_until(lambda: {*parent.children()} - {first, second})
        (new,) = {*parent.children()} - {first, second}
        wait_until(lambda: [read_slice(child.pid) for child in (new, second)] == [SECONDS, SECONDS])
        assert read_slice(parent.pid) < SECONDS


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_other_pools_are_rejected(pool):
    (message,) = start_fails("--pool", pool, app="support.scripted_worker")
    assert "needs Celery's prefork pool" in message


def test_a_missing_model_is_rejected(tmp_path):
    (message,) = start_fails(HANNER_MODEL=str(tmp_path / "none"))
    assert str(tmp_path / "none") in message


def test_a_damaged_model_is_rejected(tmp_path, tiny_package):
    for file in tiny_package.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.onnx").write_bytes(b"damaged")
    (message,) = start_fails(HANNER_MODEL=str(tmp_path))
    assert "model.onnx" in message


def test_an_invalid_setting_is_rejected():
    (message,) = start_fails(HANNER_BATCH_TEXTS="many")
    assert "HANNER_BATCH_TEXTS" in message


def test_the_app_runs_a_real_model_and_stops_on_sigterm(tiny_package):
    with redis_server() as server, foreign_app(server.url) as app:
        env = {"HANNER_MODEL": str(tiny_package), "HANNER_CONCURRENCY": "1", "HANNER_MAX_WAIT_MS": "100"}
        with worker(server.url, app="hanner_worker", env=env, cold=True) as running:
            assert any("HANNER_MAX_WAIT_MS has no effect any more" in line for line in running.lines)
            (ready,) = [line for line in running.lines if "ready: model" in line]
            assert "model tiny@" in ready
            assert "1 processes, queue hanner" in ready
            text = "马云在杭州阿里巴巴总部发表演讲😀" * 9
            result = app.send_task("hanner.extract", [text]).get(timeout=60)
            assert result["model"].startswith("tiny@")
            assert result["entities"]
            assert all(text[e["start"] : e["end"]] == e["text"] for e in result["entities"])
            assert running.stop() == 0


def test_celery_finds_the_app_and_importing_the_package_is_cheap(monkeypatch):
    modules = ("celery", "numpy", "hanner_worker.app")
    script = f"import sys, hanner_worker; print(any(name in sys.modules for name in {modules}))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "False"
    importlib.import_module("hanner_worker.app")  # Celery must not mistake the submodule `app` for the app
    monkeypatch.setenv("HANNER_BATCH_TEXTS", "16")
    found = find_app("hanner_worker")
    assert {"hanner.extract", "hanner.extract_many"} <= set(found.tasks)
    assert found.conf.worker_prefetch_multiplier == 64
    found.close()


def test_eager_tasks_run_without_a_worker():
    with redis_server() as server:
        app = make(Settings(broker_url=server.url))
        app.conf.task_always_eager = True
        assert app.tasks["hanner.extract"].delay("马云").get()["entities"][0]["text"] == "马云"
        documents = app.tasks["hanner.extract_many"].apply([["马云", 7]]).get()["documents"]
        assert json.loads(json.dumps(documents))[1]["error"]["code"] == "invalid_text"
        app.close()
