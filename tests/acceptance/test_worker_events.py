"""Events of a request, which Flower shows, are correct for every outcome."""

import os
import signal

import pytest
from celery.events.state import State

from support.occupied_process import occupied_process
from support.workers import SHORT_LEASE, pad_text, worker

RECEIVED, STARTED, RETRIED = "task-received", "task-started", "task-retried"
FAILED, REVOKED, SUCCEEDED = "task-failed", "task-revoked", "task-succeeded"


def ended(events, task_id):
    """Wait for a request's last event, and return its events."""
    events.wait_for(lambda e: {FAILED, REVOKED, SUCCEEDED} & set(e.of(task_id)))
    return [event for event in events.seen if event.get("uuid") == task_id]


def types(events):
    return [event["type"] for event in events]


def as_flower_sees(events):
    """Apply events to Celery's event state, which Flower uses."""
    state = State()
    for event in events:
        state.event(dict(event))
    return state.tasks


def test_final_events_describe_the_batch(server, app, events):
    with worker(server.url, "-c", "1"):
        with occupied_process(app, server, events) as send:
            good, bad = send(pad_text("马云"), pad_text("!raise:x"))
        for task_id, kind in ((good.id, SUCCEEDED), (bad.id, FAILED)):
            *_, end = ended(events, task_id)
            assert end["type"] == kind
            assert (end["batch_size"], end["characters"]) == (2, 20)
            assert end["batch"] == 2  # batch 1 occupied the process
            assert end["waited_ms"] > 0
            assert "20 characters, batch 2 with 2 requests, waited " in end["result"]


def test_a_request_that_was_revoked_or_expired_in_the_queue_has_a_task_name(server, app, events):
    with worker(server.url, "-c", "1"):
        assert app.control.revoke("early", reply=True, timeout=60, limit=1)
        app.send_task("hanner.extract", ["马云"], task_id="early")
        app.send_task("hanner.extract", ["马云"], task_id="late", expires=-5)
        for task_id in ("early", "late"):
            seen = ended(events, task_id)
            assert types(seen) == [RECEIVED, REVOKED]
            task = as_flower_sees(seen)[task_id]
            assert (task.state, task.name, task.args) == ("REVOKED", "hanner.extract", "(<2 characters>)")
            assert task.received


def test_requests_of_a_killed_process_are_retried(server, app, events):
    with worker(server.url, "-c", "1"):
        with occupied_process(app, server, events) as send:
            poison, neighbour = send(pad_text("!die:x"), pad_text("马云"))
        seen = ended(events, neighbour.id)
        assert types(seen) == [RECEIVED, STARTED, RETRIED, STARTED, SUCCEEDED]
        assert "process died" in seen[2]["exception"]
        assert as_flower_sees(seen[:3])[neighbour.id].state == "RETRY"  # it is queued again
        seen = ended(events, poison.id)
        assert types(seen) == [RECEIVED, STARTED, RETRIED, STARTED, RETRIED, STARTED, FAILED]
        assert [event["retries"] for event in seen if event["type"] == RETRIED] == [1, 2]
        task = as_flower_sees(seen)[poison.id]
        assert (task.state, task.retries) == ("FAILURE", 2)
        assert " with 1 request, waited " in task.result


@pytest.mark.parametrize("terminated", [False, True])
def test_requests_whose_process_is_lost_before_it_reports_their_results_have_ended(server, app, events, terminated):
    with worker(server.url, "-c", "1"):
        with occupied_process(app, server, events) as send:
            texts = [pad_text("马云"), "!raise:x", f"!wait-ended:{terminated}"]
            done, failed, last = (send(text)[0] for text in texts)
        assert server.client.blpop(["waiting"], timeout=60)
        if terminated:
            app.control.revoke(last.id, terminate=True, signal="SIGKILL")
        else:
            os.kill(int(server.client.lindex("runners", -1)), signal.SIGKILL)
        assert types(ended(events, done.id)) == [RECEIVED, STARTED, SUCCEEDED]
        assert types(ended(events, failed.id)) == [RECEIVED, STARTED, FAILED]
        assert types(ended(events, last.id)) == [RECEIVED, STARTED, SUCCEEDED]
        assert app.send_task("hanner.extract", ["马云"]).get(timeout=60)["entities"]


def test_a_request_that_another_worker_took_over_is_pending_there(server, app, events):
    with worker(server.url, "-c", "1", "-n", "first@here", env=SHORT_LEASE) as first:
        result = app.send_task("hanner.extract", ["!wait:first"])
        events.wait_for(lambda e: STARTED in e.of(result.id))
        assert server.client.blpop(["waiting"], timeout=60)
        with worker(server.url, "-c", "1", "-n", "second@here", env=SHORT_LEASE):
            os.killpg(first.process.pid, signal.SIGKILL)  # with its processes
            first.wait()
            server.client.rpush("first", 1)
            seen = ended(events, result.id)
    assert types(seen) == [RECEIVED, STARTED, RETRIED, RECEIVED, STARTED, SUCCEEDED]
    task = as_flower_sees(seen[:4])[result.id]
    assert (task.state, task.worker.hostname, task.retries) == ("RECEIVED", "second@here", 1)


def test_a_request_of_a_batch_over_its_time_limit_is_retried(server, app, events):
    with worker(server.url, "-c", "1"):
        with occupied_process(app, server, events) as send:
            (slow,) = send(pad_text("!wait:slow"), soft_time_limit=1)
            (quick,) = send(pad_text("马云"))
        seen = ended(events, quick.id)
        assert types(seen) == [RECEIVED, STARTED, RETRIED, STARTED, SUCCEEDED]
        assert "time limit" in seen[2]["exception"]
        assert types(ended(events, slow.id))[-1] == FAILED
