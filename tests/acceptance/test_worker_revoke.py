"""A request has one end: it is stored, announced and shown in events once, also if it is revoked in the same moment."""

import json
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager

import pytest

from hanner import Client
from hanner.errors import Revoked
from support.servers import redis_server
from support.waiting import wait_until
from support.workers import Events, foreign_app, runs, worker

ENDS = {"task-succeeded": "SUCCESS", "task-failed": "FAILURE", "task-revoked": "REVOKED"}
SCHEDULED = "hanner:hanner:scheduled"


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def app(server):
    with foreign_app(server.url) as app:
        yield app


@pytest.fixture(scope="module")
def events(app):
    with Events(app) as events:
        yield events


@pytest.fixture(scope="module")
def workers(server, events):
    with ExitStack() as stack:
        yield [stack.enter_context(worker(server.url, "-c", "1", "-n", f"{n}@here")) for n in range(3)]


@pytest.fixture
def ner(server):
    with Client(server.url) as client:
        yield client


@contextmanager
def announcements(server):
    """Yield a function that returns all states that were announced so far, by task id."""
    with server.client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.psubscribe("celery-task-meta-*")
        seen = {}

        def read():
            while (message := listener.get_message(timeout=0.2)) is not None:
                meta = json.loads(message["data"])
                seen.setdefault(meta["task_id"], []).append(meta["status"])
            return seen

        read()
        yield read


def assert_one_end(server, events, announced, task_ids):
    """Wait for the end of each request. Assert that it was stored, announced and sent as an event, once."""

    def ends(task_id):
        return [ENDS[kind] for kind in events.of(task_id) if kind in ENDS]

    def without_end():
        """Return the states, stored and announced, and the events of the requests without an event of their end."""
        missing = [task_id for task_id in task_ids if not ends(task_id)]
        stored = server.client.mget([f"celery-task-meta-{task_id}" for task_id in missing]) if missing else []
        states = [meta and json.loads(meta)["status"] for meta in stored]
        published = announced()
        sent = [(published.get(task_id), events.of(task_id)) for task_id in missing]
        return list(zip(missing, states, sent, strict=True))

    wait_until(lambda: all(ends(task_id) for task_id in task_ids), why=without_end)
    published = announced()
    for task_id in task_ids:
        stored = json.loads(server.client.get(f"celery-task-meta-{task_id}"))["status"]
        assert (published[task_id], ends(task_id)) == ([stored], [stored])
    return Counter(ends(task_id)[0] for task_id in task_ids)


@contextmanager
def occupied(app, server, workers):
    """Occupy the processes of all workers."""
    gates = [app.send_task("hanner.extract", [f"!wait:gate{n}"]) for n in range(len(workers))]
    for _ in gates:
        assert server.client.blpop(["waiting"], timeout=60)
    yield gates
    for n in range(len(workers)):
        server.client.rpush(f"gate{n}", 1)
    for gate in gates:
        gate.get(timeout=60)


def test_waiting_requests_are_revoked_once_by_three_workers(server, app, events, workers, ner):
    with announcements(server) as announced:
        with occupied(app, server, workers) as gates:
            ours = [ner.submit(f"马云{n}") for n in range(20)]
            foreign = [app.send_task("hanner.extract", [f"马云甲{n}"]) for n in range(20)]
            before = len(runs(server.client))
            for job in ours:
                job.revoke()
                with pytest.raises(Revoked):
                    job.result(timeout=60)  # at once, although all processes are busy
            app.control.revoke([result.id for result in foreign], reply=True, timeout=60, limit=3)
            app.control.revoke([gate.id for gate in gates], reply=True, timeout=60, limit=3)  # they run: no effect
        ids = [job.id for job in ours] + [result.id for result in foreign]
        assert assert_one_end(server, events, announced, ids) == {"REVOKED": 40}
        assert assert_one_end(server, events, announced, [gate.id for gate in gates]) == {"SUCCESS": 3}
    assert len(runs(server.client)) == before


def test_scheduled_requests_are_revoked_once(server, app, events, workers, ner):
    with announcements(server) as announced:
        results = [app.send_task("hanner.extract", ["马云"], countdown=86_400) for _ in range(10)]
        wait_until(lambda: server.client.zcard(SCHEDULED) == 10)
        app.control.revoke([result.id for result in results[:5]])
        for result in results[5:]:
            ner.job(result.id).revoke()
        assert assert_one_end(server, events, announced, [result.id for result in results]) == {"REVOKED": 10}
    wait_until(lambda: not server.client.exists(SCHEDULED, f"{SCHEDULED}:messages"))


def test_an_id_that_hanner_does_not_know_is_left_to_its_own_app(server, app, workers):
    assert len(app.control.revoke("of-another-app", reply=True, timeout=60, limit=3)) == 3
    assert not server.client.exists("celery-task-meta-of-another-app")


@pytest.mark.parametrize("terminate", [False, True])
def test_a_request_that_is_revoked_while_it_ends_has_one_end(server, app, events, workers, ner, terminate):
    with announcements(server) as announced:
        ids = [ner.submit(f"马云{terminate}{n}").id for n in range(150)]

        def revoke():
            for n, task_id in enumerate(ids):
                if terminate and n % 10 == 0:
                    app.control.revoke(task_id, terminate=True)
                elif n % 2:
                    ner.job(task_id).revoke()
                else:
                    app.control.revoke(task_id)

        threads = [threading.Thread(target=revoke) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counts = assert_one_end(server, events, announced, ids)
    assert counts.keys() <= {"SUCCESS", "REVOKED"}
    assert counts.total() == 150


def test_a_request_that_is_revoked_and_has_expired_ends_once(server, app, events, workers):
    with announcements(server) as announced:
        app.control.revoke("both", reply=True, timeout=60, limit=3)
        app.send_task("hanner.extract", ["马云"], task_id="both", expires=-5)
        assert assert_one_end(server, events, announced, ["both"]) == {"REVOKED": 1}
