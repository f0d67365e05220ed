"""Revoking in Redis: the first end of a request is kept, and announced once."""

import json

import pytest

from hanner.queue.revocation import Revocation, revoke
from hanner_worker.delivery.inflight import Outcome
from support.inflight import claim, completed, fetch, payload, push, queued
from support.waiting import DEADLINE

RESULT = "celery-task-meta-{}".format
LATER = 4_000_000_000.0
END = b"end"


@pytest.fixture
def announced(client):
    """Return a function that returns the states announced so far, by task id."""
    with client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.psubscribe(RESULT("*"))
        assert listener.get_message(timeout=DEADLINE) is None

        def announced():
            client.publish(RESULT("end"), END)  # the states before it have arrived when it does
            seen = []
            while True:
                message = listener.get_message(timeout=DEADLINE)
                if message["data"] == END:
                    return seen
                meta = json.loads(message["data"])
                seen.append((meta["task_id"], meta["status"]))

        yield announced


def test_a_waiting_request_is_revoked_once(client, backend, announced):
    push(client, "a")
    assert revoke(client, ["hanner"], ["a"], expires=60) == [Revocation.REVOKED]
    assert revoke(client, ["hanner"], ["a"], expires=60) == [Revocation.ENDED]
    assert announced() == [("a", "REVOKED")]
    assert 0 < client.ttl(RESULT("a")) <= 60
    assert backend.get_state("a") == "REVOKED"
    assert type(backend.get_result("a")).__name__ == "TaskRevokedError"


def test_a_revoked_request_is_not_run_and_keeps_its_result(client, backend, inflight, announced):
    (tag,) = claim(client, inflight, "a")
    revoke(client, ["hanner"], ["a"], expires=0)
    assert client.ttl(RESULT("a")) == -1
    assert inflight.start(backend, [payload("a", tag)]) == [(Outcome.ALREADY_ANSWERED, "REVOKED")]
    assert inflight.complete(backend, [completed("a", tag)]) == [Outcome.ALREADY_ANSWERED]
    assert announced() == [("a", "REVOKED")]


def test_a_running_request_and_one_with_a_result_are_not_revoked(client, backend, inflight, announced):
    running, done = claim(client, inflight, "running", "done")
    inflight.heartbeat(client, {})
    inflight.start(backend, [payload("running", running)])
    inflight.complete(backend, [completed("done", done)])
    client.set(RESULT("retried"), json.dumps({"status": "RETRY"}))
    ids = ["running", "done", "retried"]
    assert revoke(client, ["hanner", "other"], ids, expires=60) == [
        Revocation.RUNNING,
        Revocation.ENDED,
        Revocation.REVOKED,
    ]
    inflight.complete(backend, [completed("running", running)])
    assert announced() == [("done", "SUCCESS"), ("retried", "REVOKED"), ("running", "SUCCESS")]


def test_a_scheduled_request_comes_back_to_be_discarded(client, backend, inflight, announced):
    (tag,) = claim(client, inflight, "a")
    inflight.schedule(backend, [(tag, "a", LATER)])
    ids = ["a", "unknown"]
    effects = revoke(client, ["hanner"], ids, expires=60, scheduled_only=True)
    assert effects == [Revocation.REVOKED, Revocation.UNKNOWN]
    ((tag, _),) = fetch(client, inflight).messages
    assert inflight.schedule(backend, [(tag, "a", LATER)]) == [(Outcome.ALREADY_ANSWERED, "REVOKED")]
    assert not client.keys("hanner:hanner:scheduled*")
    assert not client.exists(inflight.keys.unacked(inflight.worker_id))
    assert queued(client) == []
    assert announced() == [("a", "REVOKED")]


def test_an_unfinished_request_that_was_revoked_stays_in_flight(client, backend, inflight):
    answered, waiting = claim(client, inflight, "answered", "waiting")
    revoke(client, ["hanner"], ["answered"], expires=60)
    messages = [(answered, "answered", LATER), (waiting, "waiting", LATER)]
    outcomes = inflight.schedule(backend, messages, {answered, waiting})
    assert outcomes == [(Outcome.ALREADY_ANSWERED, "REVOKED"), (Outcome.OK, "")]
    assert client.hkeys(inflight.keys.unacked(inflight.worker_id)) == [answered.encode()]
    assert client.zrange(inflight.keys.scheduled, 0, -1) == [b"waiting"]


def test_thousands_are_revoked(client):
    ids = [str(n) for n in range(1201)]
    assert set(revoke(client, ["hanner"], ids, expires=60)) == {Revocation.REVOKED}
    assert len(client.keys(RESULT("*"))) == 1201
