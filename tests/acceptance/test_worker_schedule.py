"""Requests with an ETA or an expiry run once, at their time, whatever the clocks of the workers' machines show."""

import os
import signal
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from hanner import Client
from hanner.errors import Expired
from support.waiting import wait_until
from support.workers import SHORT_LEASE, found, runs, unacked, worker

SCHEDULED = "hanner:hanner:scheduled"


@contextmanager
def clocks(url, *offsets):
    """Start workers whose machines' clocks are wrong by these seconds."""
    with worker(url, "-c", "1", "-n", f"clock{offsets[0]}@here", env={"FAKE_CLOCK_OFFSET": str(offsets[0])}) as first:
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
        later = [app.send_task("hanner.extract", ["马云"], countdown=86_400, ignore_result=True) for _ in range(300)]
        wait_until(lambda: server.client.zcard(SCHEDULED) == 300)  # more than a worker prefetches
        soon = [app.send_task("hanner.extract", ["马云"], countdown=10) for _ in range(3)]
        wait_until(lambda: server.client.zcard(SCHEDULED) == 303)
        with Client(server.url) as ner:
            backlog = ner.backlog()
        assert (backlog.depth, backlog.scheduled) == (0, 303)
        assert 0 <= backlog.scheduled_seconds <= 10
        inspect = app.control.inspect(timeout=60, limit=1)
        assert not any(inspect.reserved().values())
        assert not unacked(server.client)
        os.killpg(first.process.pid, signal.SIGKILL)
        first.wait()
    with worker(server.url, "-c", "1", env=SHORT_LEASE):
        assert [found(result) for result in soon] == [1] * 3
    assert server.client.zcard(SCHEDULED) == len(later)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_request_of_a_client_whose_clock_is_wrong_expires_when_it_should(server, app, hours):
    with (
        time_machine.travel(datetime.now(UTC) + timedelta(hours=hours)),
        Client(server.url) as ner,
        worker(server.url, "-c", "1"),
    ):
        assert len(ner.extract("马云", timeout=60)) == 1
        gate = ner.submit("!wait:gate")
        assert server.client.blpop(["waiting"], timeout=60)
        late, early = ner.submit("马云一", expires=0.2), ner.submit("马云二", expires=600)
        seconds, _ = server.client.time()
        wait_until(lambda: server.client.time()[0] > seconds + 1)
        server.client.rpush("gate", 1)
        assert gate.result(timeout=60) == []
        assert len(early.result(timeout=60)) == 1
        with pytest.raises(Expired, match="by the clock of Redis, which showed"):
            late.result(timeout=60)


def test_requests_are_answered_when_the_workers_clocks_are_wrong(server, app):
    with clocks(server.url, 100) as _, Client(server.url, timeout=20) as ner:
        assert len(ner.extract("马云")) == 1
    with clocks(server.url, -7200, 7200):
        results = [app.send_task("hanner.extract", [f"马云{n}"], countdown=1, expires=60) for n in range(20)]
        assert [found(result) for result in results] == [1] * 20
    assert sum(len(run) for run in runs(server.client)) == 21
