"""Requests with an ETA or an expiry run once, at their time, whatever the clocks of the workers' machines show."""

import os
import signal
from contextlib import contextmanager

from hanner import Client
from support.waiting import wait_until
from support.workers import SHORT_LEASE, found, runs, unacked, worker

SCHEDULED = "hanner:hanner:scheduled"


@contextmanager
def clocks(url, *offsets):
    """Start workers whose machines' clocks are wrong by these seconds."""
    with worker(url, "-c", "1", "-n", "one", env={"FAKE_CLOCK_OFFSET": str(offsets[0])}) as first:
        if offsets[1:]:
            with clocks(url, *offsets[1:]) as others:
                yield [first, *others]
        else:
            yield [first]


def test_a_scheduled_request_is_not_overdue_and_runs_once(server, app, events):
    with worker(server.url, "-c", "1", env={**SHORT_LEASE, "FAKE_VISIBILITY_TIMEOUT": "0.5"}) as running:
        results = [app.send_task("hanner.extract", [f"马云{n}"], countdown=4) for n in range(20)]
        for result in results:
            assert found(result) == 1
            events.wait_for(lambda e, result=result: "task-succeeded" in e.of(result.id))
        assert "visibility timeout" not in running.output
    assert sum(len(run) for run in runs(server.client)) == 20
    for result in results:
        assert events.of(result.id).count("task-succeeded") == 1


def test_a_scheduled_request_is_in_no_worker_and_survives_all_of_them(server, app, events):
    with worker(server.url, "-c", "1", env=SHORT_LEASE) as first:
        later = [app.send_task("hanner.extract", ["马云"], countdown=86_400) for _ in range(3000)]
        wait_until(lambda: server.client.zcard(SCHEDULED) == 3000)
        soon = [app.send_task("hanner.extract", ["马云"], countdown=10) for _ in range(3)]
        wait_until(lambda: server.client.zcard(SCHEDULED) == 3003)
        inspect = app.control.inspect(timeout=5, limit=1)
        assert not any(inspect.reserved().values())
        assert not unacked(server.client)
        os.killpg(first.process.pid, signal.SIGKILL)
        first.wait()
    with worker(server.url, "-c", "1", env=SHORT_LEASE):
        assert [found(result) for result in soon] == [1] * 3
    assert server.client.zcard(SCHEDULED) == len(later)


def test_requests_are_answered_when_the_workers_clocks_are_wrong(server, app):
    with clocks(server.url, 100) as _, Client(server.url, timeout=20) as ner:
        assert len(ner.extract("马云")) == 1
    with clocks(server.url, -7200, 7200):
        results = [app.send_task("hanner.extract", [f"马云{n}"], countdown=1, expires=60) for n in range(20)]
        assert [found(result) for result in results] == [1] * 20
    assert sum(len(run) for run in runs(server.client)) == 21
