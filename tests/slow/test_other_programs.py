"""The programs that users add hanner to, with the Celery configuration and the locale that they may have already.

Each program calls all actions of support/hosts/actions.py: all must be answered. hanner's worker and the worker of the
other app are real, and the last step of each canvas must run exactly once.
"""

import json
import os
import subprocess
import sys

import pytest

from support.forkserver import TESTS
from support.hosts.actions import NAMES, Actions
from support.other_app import RUNS
from support.servers import redis_server
from support.waiting import wait_until
from support.workers import worker

PROGRAMS = ("script", "django_site", "flask_site", "celery_worker", "gunicorn_site", "gevent_program")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def environments(url):
    """Return the environments by name; `url` is the program's own Redis database, which hanner must not use."""
    return {
        "variables": {
            "CELERY_BROKER_URL": url,
            "CELERY_BROKER_READ_URL": url,
            "CELERY_RESULT_BACKEND": url,
            "CELERY_TASK_ALWAYS_EAGER": "1",
        },
        "celeryconfig": {"CELERY_CONFIG_MODULE": "support.hosts.celeryconfig", "CELERY_LOADER": "default"},
        "locale": ASCII,
    }


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def workers(server):
    other = worker(server.url, "-P", "solo", app="support.other_app", ready=False)
    with worker(server.url, "-c", "2"), other as running:
        running.wait_for(" ready.")
        yield


@pytest.mark.parametrize("environment", environments(""))
@pytest.mark.parametrize("program", PROGRAMS)
def test_program_gets_all_answers_and_its_next_steps_run_once(server, tmp_path, program, environment):
    origin = f"{program}-{environment}"
    own = server.url.removesuffix("/0") + "/1"
    run(program, origin, tmp_path / "log", server.url, own, environments(own)[environment])
    wait_until(lambda: set(runs(server.client, origin)) == set(Actions.CANVASES), timeout=60)
    wait_until(lambda: is_idle(server.client), timeout=60)
    found = runs(server.client, origin)
    assert {action: len(values) for action, values in found.items()} == dict.fromkeys(Actions.CANVASES, 1)
    for action in ("link", "chain", "chord", "countdown"):
        ((task, results),) = found[action]
        assert task == "linked"
        assert len(results) == (3 if action == "chord" else 1)
        assert [[entity["text"] for entity in result["entities"]] for result in results] == [NAMES] * len(results)
    assert found["errback"][0][0] == "failed"


def run(program, origin, log, url, own, environment):
    """Run a program to its end, and show the end of its output if it fails."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CELERY", "HANNER", "LC_"))}
    environment = {
        **inherited,
        "PYTHONPATH": str(TESTS),
        "HANNER_BROKER_URL": url,
        "HOST_BROKER_URL": own,
        **environment,
    }
    with log.open("wb") as output:
        command = [sys.executable, "-m", f"support.hosts.{program}", origin]
        done = subprocess.run(command, env=environment, stdout=output, stderr=output, timeout=150, check=False)
    assert done.returncode == 0, log.read_text(errors="replace")[-3000:]


def runs(client, origin):
    """Return the runs of a program's last steps, by action: the task, and what it got."""
    found = {}
    for (by, action), *run in map(json.loads, client.lrange(RUNS, 0, -1)):
        if by == origin:
            found.setdefault(action, []).append(run)
    return found


def is_idle(client):
    """Return whether no request and no next step is queued or in flight."""
    in_flight = [key for key in client.scan_iter("hanner:hanner:unacked:*") if client.hlen(key)]
    return not (in_flight or client.llen("hanner") or client.llen("hanner.bulk") or client.llen("celery"))
