"""A request redacts its text, from any sender, and acknowledges its duplicates."""

import signal
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from celery.worker import state

from hanner.contract import EXTRACT
from hanner.errors import InvalidText
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery
from hanner_worker.batching.request import BatchRequest
from hanner_worker.delivery.inflight import Outcome

NOW = 1_800_000_000.0
"""The time of Redis."""


@pytest.fixture
def app():
    app = make_celery(Settings())

    @app.task(name=EXTRACT, shared=False)
    def extract(text):
        return text

    app.finalize()
    yield app
    app.close()


@pytest.fixture
def request_of(app):
    def make(args, kwargs=None, embed=None, *, log_text=False, tag="tag", end=(Outcome.FAILED, "REVOKED"), **headers):
        calls = []
        channel = SimpleNamespace(closed=False, qos=SimpleNamespace(drop=lambda tags: calls.append(("drop", *tags))))
        completed = []
        message = SimpleNamespace(
            headers={"id": "id", "task": EXTRACT, "argsrepr": repr(args), "kwargsrepr": repr(kwargs), **headers},
            properties={}, delivery_info={}, delivery_tag=tag, channel=channel,
        )  # fmt: skip
        request = BatchRequest(
            message, log_text=log_text, arrived=5.0, max_length=512, app=app, task=app.tasks[EXTRACT],
            body=(args, kwargs or {}, embed or {}), decoded=True, hostname="h",
            complete=lambda completion: completed.append(completion) or end, redis_now=lambda: NOW,
            on_ack=lambda *_: calls.append("ack"), on_reject=lambda *_: calls.append("reject"),
        )  # fmt: skip
        request.calls, request.completed = calls, completed
        return request

    return make


def test_the_text_is_redacted_everywhere(request_of):
    for request in (request_of(["秘密"]), request_of([], {"text": "秘密"}), request_of([["秘密"]])):
        for seen in (
            repr(request),
            request.info(),
            request.argsrepr,
            request.kwargsrepr,
            request.payload,
            str(request),
        ):
            assert "秘密" not in repr(seen)
    assert request_of(["秘密"]).argsrepr == "(<2 characters>)"


def test_the_text_is_shown_if_it_may_be_logged(request_of):
    request = request_of(["秘密"], log_text=True)
    assert "秘密" in request.argsrepr
    assert "秘密" in repr(request.info())


def test_the_scheduler_gets_its_size(request_of):
    item = request_of(["秘密"]).queued
    assert (item.key, item.rows, item.tokens, item.arrived, item.isolated) == ("id", 1, 4, 5.0, False)


def test_only_a_request_with_a_canvas_carries_celerys_whole_request(request_of):
    assert request_of(["秘密"], group="g", parent_id="p").payload.canvas is None
    assert (request_of(["秘密"], group="g", parent_id="p").payload.group) == "g"
    canvas = request_of(["秘密"], None, {"chord": {"task": "t"}}, root_id="r").payload.canvas
    assert canvas["chord"] == {"task": "t"}
    assert canvas["root_id"] == "r"
    assert "秘密" not in canvas["argsrepr"]


def test_a_request_and_its_duplicates_are_acknowledged_once(request_of):
    request, duplicates = request_of(["甲"], tag="1"), [request_of(["甲"], tag="2"), request_of(["甲"], tag="3")]
    for duplicate in duplicates:
        request.merge_duplicate(duplicate)
    assert request.tags == ["1", "2", "3"]
    request.acknowledge()
    request.acknowledge()
    assert [each.calls for each in (request, *duplicates)] == [["ack"]] * 3


def test_nothing_is_acknowledged_on_a_closed_channel(request_of):
    request = request_of(["甲"])
    request.message.channel.closed = True
    request.acknowledge()
    request.reject(requeue=True)
    assert request.calls == []
    assert not request.acknowledged


def iso(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def test_expiry_and_eta_are_compared_with_the_clock_of_redis(request_of):
    assert request_of(["甲"], expires=iso(NOW - 1)).maybe_expire()
    assert not request_of(["甲"], expires=iso(NOW + 1)).maybe_expire()
    assert not request_of(["甲"]).maybe_expire()
    assert request_of(["甲"], eta=iso(NOW + 1)).due == NOW + 1
    assert request_of(["甲"], eta=iso(NOW - 1)).due is None
    assert request_of(["甲"]).due is None


def test_the_error_of_an_expired_request_names_the_clocks(request_of):
    request = request_of(["甲"], expires="2027-01-15T07:59:00+00:00")
    assert request.revoked()
    (completion,) = request.completed
    assert str(completion.result) == (
        "expired at 2027-01-15T07:59:00.000+00:00 by its sender's clock; "
        "the clock of Redis showed 2027-01-15T08:00:00.000+00:00"
    )
    ours = request_of(["甲"], expires="2027-01-15T07:59:00+00:00", hanner={"sent_at": NOW - 60})
    assert ours.revoked()
    assert str(ours.completed[0].result) == (
        "expired at 2027-01-15T07:59:00.000+00:00 by the clock of Redis, which showed 2027-01-15T08:00:00.000+00:00"
    )


@pytest.fixture
def events(request_of):
    """Return a function that revokes a request and returns its events, given how that ended."""

    def revoke(outcome, stored, *, running=False):
        request = request_of(["甲"], end=(outcome, stored), expires=iso(NOW - 1))
        sent = []
        request.eventer = SimpleNamespace(
            sends_task_events=True,
            send=lambda kind, **_: sent.append(kind),
            send_later=lambda kind, *_: sent.append(kind),
        )
        request.time_start = NOW if running else None
        assert request.revoked()
        assert request.revoked()  # a second time, nothing happens
        assert len(request.completed) == 1
        return sent

    return revoke


@pytest.mark.parametrize(
    ("outcome", "stored", "running", "expected"),
    [
        (Outcome.FAILED, "REVOKED", False, ["task-revoked"]),
        (Outcome.ALREADY_ANSWERED, "REVOKED", False, ["task-revoked"]),
        (Outcome.ALREADY_ANSWERED, "SUCCESS", False, ["task-succeeded"]),
        (Outcome.ALREADY_ANSWERED, "FAILURE", False, ["task-failed"]),
        (Outcome.FENCED, "SUCCESS", True, ["task-succeeded"]),  # its process was faster
        (Outcome.FENCED, "SUCCESS", False, []),  # another worker has it, and sends the event
        (Outcome.FENCED, "", True, []),
    ],
)
def test_the_first_end_of_a_revoked_request_is_announced_once(events, outcome, stored, running, expected):
    assert events(outcome, stored, running=running) == expected


def test_the_fields_of_frequent_events(request_of):
    request = request_of(["秘密"], root_id="r", parent_id="p", retries=2, eta=iso(NOW), expires=iso(NOW + 1))
    sent = {}
    request.eventer = SimpleNamespace(
        sends_task_events=True, send_later=lambda kind, make, *values: sent.update({kind: make(*values)})
    )
    request.send_received_event()
    request.assign_batch(7, 2, 0.0031)
    request.on_accepted(1, 0.0)
    request.succeeded("1 entities, 2 characters", 0.5)
    assert sent == {
        "task-received": {
            "uuid": "id", "characters": 2, "name": EXTRACT, "args": "(<2 characters>)", "kwargs": "{}", "root_id": "r",
            "parent_id": "p", "retries": 2, "eta": iso(NOW), "expires": iso(NOW + 1),
        },
        "task-started": {"uuid": "id"},
        "task-succeeded": {
            "uuid": "id", "characters": 2, "batch": 7, "batch_size": 2, "waited_ms": 3.1, "runtime": 0.5,
            "result": "<1 entities, 2 characters, batch 7 with 2 requests, waited 3.1 ms>",
        },
    }  # fmt: skip


def test_a_request_that_continues_is_not_announced_as_started_again(request_of):
    request, sent = request_of(["甲"]), []
    request.eventer = SimpleNamespace(sends_task_events=True, send_later=lambda kind, *_: sent.append(kind))
    request.on_accepted(1, 0.0)
    request.reset_to_pending("", b"progress")
    request.on_accepted(2, 0.0)
    assert sent == ["task-started"]


@pytest.mark.parametrize("eventer", [None, SimpleNamespace(sends_task_events=False)])
def test_events_that_are_switched_off_are_not_made(request_of, eventer):
    request = request_of(["甲"])
    request.eventer = eventer
    request.send_received_event()
    request.on_accepted(1, 0.0)
    request.succeeded("summary", 0.5)
    request.send_event("task-failed")


def test_an_accepted_request_is_active_and_counted_as_by_celery(request_of):
    ours, before = request_of(["甲"]), state.total_count[EXTRACT]
    ours.on_accepted(7, time.monotonic() - 5)
    assert ours in state.active_requests
    assert state.requests["id"] is ours
    assert state.total_count[EXTRACT] == before + 1
    assert (ours.worker_pid, round(time.time() - ours.time_start)) == (7, 5)
    ours.succeeded("summary", 0.5)
    assert ours not in state.active_requests
    assert "id" not in state.requests


def test_a_request_that_was_revoked_while_it_was_sent_is_ended_when_it_starts(request_of):
    request, killed = request_of(["甲"], end=(Outcome.FAILED, "REVOKED")), []
    request.terminate(SimpleNamespace(terminate_job=lambda *args: killed.append(args)))
    assert killed == []
    request.on_accepted(7, time.monotonic())
    assert killed == [(7, signal.SIGTERM)]
    assert request.cancelled


def test_a_revoked_request_whose_end_cannot_be_stored_is_requeued(request_of):
    request = request_of(["甲"], end=(Outcome.NOT_STORED, ""), expires=iso(NOW - 1))
    assert request.revoked()
    assert request.calls == ["reject"]


NAME = "0123456789abcdef" * 2


def test_the_result_is_also_published_on_the_channel_that_the_sender_names(request_of):
    assert request_of(["甲"], hanner={"replies": NAME}).payload.replies == f"hanner:replies:{NAME}"
    refused = request_of(["甲"], hanner={"replies": NAME})
    completed = []
    refused.refuse(InvalidText("no"), lambda completion: completed.append(completion) or Outcome.FAILED)
    assert completed[0].request.replies == f"hanner:replies:{NAME}"


@pytest.mark.parametrize(
    "header", [None, [], {}, {"replies": None}, {"replies": 5}, {"replies": NAME + "\n"}, {"replies": NAME.upper()},
               {"replies": f"../{NAME}"}, {"replies": ""}],
)  # fmt: skip
def test_a_message_cannot_name_any_other_channel(request_of, header):
    assert request_of(["甲"], hanner=header).payload.replies == ""
