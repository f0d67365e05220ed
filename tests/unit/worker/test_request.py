"""A request redacts its text, from any sender, and acknowledges its duplicates."""

from types import SimpleNamespace

import pytest

from hanner.contract import EXTRACT
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery
from hanner_worker.batching.request import BatchRequest


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
    def make(args, kwargs=None, embed=None, *, log_text=False, tag="tag", **headers):
        calls = []
        channel = SimpleNamespace(closed=False)
        message = SimpleNamespace(
            headers={"id": "id", "task": EXTRACT, "argsrepr": repr(args), "kwargsrepr": repr(kwargs), **headers},
            properties={}, delivery_info={}, delivery_tag=tag, channel=channel,
        )  # fmt: skip
        request = BatchRequest(
            message, log_text=log_text, arrived=5.0, max_length=512, app=app, task=app.tasks[EXTRACT],
            body=(args, kwargs or {}, embed or {}), decoded=True, hostname="h",
            on_ack=lambda *_: calls.append("ack"), on_reject=lambda *_: calls.append("reject"),
        )  # fmt: skip
        request.calls = calls
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
    assert (item.key, item.rows, item.longest, item.arrived, item.isolated) == ("id", 1, 4, 5.0, False)


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
