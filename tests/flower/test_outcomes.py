"""A thousand requests with all outcomes, and a worker killed meanwhile: Flower shows what the clients received."""

import os
import signal
from collections import Counter
from itertools import pairwise

import pytest

from hanner import Client
from hanner.queue.dead_letters import DeadLetters
from support.flowers import flower
from support.page import chromium, find_chromium, skip_or_fail
from support.servers import redis_server
from support.workers import SHORT_LEASE, foreign_app, worker

TOTAL = 1000
KINDS = {
    "plain": 566,
    "many": 100,  # requests of several texts
    "odd": 40,  # no text at all
    "raise": 60,  # the model fails on it: a dead letter
    "die": 3,  # kills its process, three times: a dead letter
    "die-until": 3,  # the same, but an operator retries it when the cause is removed
    "die-once": 8,  # kills its process once
    "revoked": 110,
    "expired": 110,
}
SECRET = "秘密"
PAGE = 100
"""Tasks on one page of the list, the most that it offers."""


class SentRequests:
    """The requests that were sent, by kind, and their states as the clients see them."""

    def __init__(self, app, ner):
        self._app, self._ner = app, ner
        self.kinds = {}

    def send(self):
        """Send all requests, with the kinds mixed."""
        order = sorted((n / count, kind, n) for kind, count in KINDS.items() for n in range(count))
        for _, kind, n in order:
            self.kinds[self._one(kind, n)] = kind

    def _one(self, kind, n):
        text = f"{SECRET}{n}马云" + "的" * (n % 40)
        if kind in {"plain", "revoked"}:
            return self._ner.submit(text).id
        if kind == "expired":
            return self._ner.submit(text, expires=0.1).id
        if kind == "many":
            return self._ner.submit_many([text, "马云", f"!raise:{SECRET}"][: n % 3 + 1]).id
        if kind == "odd":
            return self._app.send_task("hanner.extract", [n]).id
        return self._ner.submit(f"!{kind}:{SECRET if kind == 'raise' else 'cure' if kind == 'die-until' else n}").id

    def of(self, kind):
        return [task_id for task_id, its in self.kinds.items() if its == kind]

    def states(self, task_ids=None):
        """Return the Celery state of each request as a client sees it, by task id."""
        ids = self.kinds if task_ids is None else task_ids
        return {task_id: self._ner.job(task_id)._waiter.wait(timeout=120)["status"] for task_id in ids}


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def running(server, tmp_path_factory):
    with flower(server.url, tmp_path_factory.mktemp("flower")) as running:
        yield running


@pytest.fixture(scope="module")
def results(server, running):
    """Run all requests; return the states that clients see, the kinds, and the tasks that Flower knows."""
    with (
        foreign_app(server.url) as app,
        Client(server.url, timeout=120) as ner,
        worker(server.url, "-c", "1", "-n", "first@here", env=SHORT_LEASE) as first,
        worker(server.url, "-c", "1", "-n", "second@here", env=SHORT_LEASE),
    ):
        running.wait_for_workers(2)
        requests = SentRequests(app, ner)
        for _ in range(2):  # both processes are busy
            requests.kinds[ner.submit("!wait:gate").id] = "gate"
            assert server.client.blpop(["waiting"], timeout=60)
        requests.send()
        assert len(app.control.revoke(requests.of("revoked"), reply=True, limit=2, timeout=10)) == 2
        assert server.client.blpop(["nothing"], timeout=0.2) is None  # long enough for requests to expire
        # One worker is killed, with its process and its in-flight requests.
        os.killpg(first.process.pid, signal.SIGKILL)
        first.wait()
        server.client.rpush("gate", *range(4))
        states = requests.states()
        states |= retried(server, requests) | requests.states(hanging(server, requests, app))
        tasks = running.wait_for(lambda tasks: all(tasks.get(i, {}).get("state") == s for i, s in states.items()))
    return states, requests.kinds, tasks


def retried(server, requests):
    """Retry dead letters whose cause is removed; return their states."""
    server.client.set("cure", 1)
    ids = requests.of("die-until")
    assert DeadLetters(server.client, "hanner").retry(ids) == len(ids)
    return requests.states(ids)


def hanging(server, requests, app):
    """Send two requests that never end: one is terminated, one reaches its time limit; return their ids."""
    victim = app.send_task("hanner.extract", ["!wait:never"])
    assert server.client.blpop(["waiting"], timeout=60)
    app.control.revoke(victim.id, terminate=True)
    slow = app.send_task("hanner.extract", ["!wait:never"], time_limit=1)
    requests.kinds |= {victim.id: "terminated", slow.id: "slow"}
    return [victim.id, slow.id]


def test_every_state_is_what_the_client_sees(results, server):
    states, kinds, tasks = results
    assert len(states) == TOTAL + 4  # and the two that occupy the processes, and the two that never end
    assert {task_id: tasks[task_id]["state"] for task_id in states} == states
    counted = Counter((kinds[task_id], state) for task_id, state in states.items())
    assert counted == {
        ("gate", "SUCCESS"): 2,
        ("plain", "SUCCESS"): 566,
        ("many", "SUCCESS"): 100,
        ("odd", "FAILURE"): 40,
        ("raise", "FAILURE"): 60,
        ("die", "FAILURE"): 3,
        ("die-until", "SUCCESS"): 3,
        ("die-once", "SUCCESS"): 8,
        ("revoked", "REVOKED"): 110,
        ("expired", "REVOKED"): 110,
        ("terminated", "REVOKED"): 1,
        ("slow", "FAILURE"): 1,
    }
    dead = set(server.client.hkeys("hanner:hanner:dead"))
    assert dead == {task_id for task_id, kind in kinds.items() if kind in {"raise", "die", "slow"}}


def test_every_task_has_name_worker_and_times_and_no_text(results):
    states, kinds, tasks = results
    for task_id, state in states.items():
        task = tasks[task_id]
        assert task["name"] == ("hanner.extract_many" if kinds[task_id] == "many" else "hanner.extract")
        assert task["worker"] in {"first@here", "second@here"}
        assert task["received"]
        assert task["args"].startswith("(<")
        assert task["characters"] is not None
        if state == "SUCCESS":
            times = [task[name] for name in ("received", "started", "succeeded")]
            assert all(earlier <= later for earlier, later in pairwise(times)), task
            assert task["runtime"] > 0
            batch = "1 request" if task["batch_size"] == 1 else f"{task['batch_size']} requests"
            assert f"batch {task['batch']} with {batch}, waited " in task["result"]
        if state == "FAILURE":
            assert task["failed"]
            assert task["exception"].startswith(("InvalidText(", "ModelFailed(", "WorkerLost(", "TimedOut("))
        if state == "REVOKED":
            assert task["revoked"]
            assert bool(task["started"]) == (kinds[task_id] == "terminated")
    assert SECRET not in str(tasks)
    for task_id, kind in kinds.items():
        if kind in {"die", "die-once", "die-until"}:
            assert tasks[task_id]["retried"], kind


@pytest.fixture(scope="module")
def page(running):
    if find_chromium() is None:
        skip_or_fail("no Chromium is installed; `make test-flower` installs Debian's")
    with chromium() as browser:
        secret = {"username": running.user, "password": running.password}
        context = browser.new_context(http_credentials=secret, viewport={"width": 1600, "height": 1000})
        page = context.new_page()
        page.set_default_timeout(60_000)
        yield page
        context.close()


def test_list_page_shows_all_tasks_with_the_same_states(results, running, page):
    states, _, tasks = results
    page.goto(f"{running.url}/tasks")
    page.locator("#tasks-table_length select").select_option(str(PAGE))
    seen = {}
    for start in range(0, len(tasks), PAGE):
        shown = f"Showing {start + 1:,} to {min(start + PAGE, len(tasks)):,} of {len(tasks):,} tasks"
        page.locator("#tasks-table_info", has_text=shown).wait_for()  # its rows have come from the server
        rows = page.locator("#tasks-table tbody tr").evaluate_all(
            "all => all.map(row => [row.id, row.children[2].textContent.trim()])"
        )
        seen |= dict(rows)
        if len(seen) < len(tasks):
            page.locator("#tasks-table_next").click()
    assert {task_id: seen[task_id] for task_id in states} == states
    assert SECRET not in page.content()


def test_task_page_shows_its_history(results, running, page):
    _, kinds, _ = results
    rows = open_task(page, running, next(task_id for task_id, kind in kinds.items() if kind == "plain"))
    assert (rows["Status"], rows["Worker"].endswith("@here")) == ("SUCCESS", True)
    assert rows["Arguments"].startswith("(<")
    assert "entities" in rows["Result"]
    for name in ("Received", "Started", "Succeeded", "Runtime", "Batch", "Batch size", "Waited ms", "Characters"):
        assert rows[name], name
    rows = open_task(page, running, next(task_id for task_id, kind in kinds.items() if kind == "die"))
    assert (rows["Status"], rows["Retries"]) == ("FAILURE", "2")
    assert rows["Exception"].startswith("WorkerLost(")
    assert rows["Retried"]


def open_task(page, running, task_id):
    """Open the page of a task; return its rows."""
    page.goto(f"{running.url}/task/{task_id}")
    assert SECRET not in page.content()
    return dict(
        page.locator(".detail-row").evaluate_all(
            "all => all.map(r => [r.querySelector('dt').textContent.trim(), r.querySelector('dd').textContent.trim()])"
        )
    )
