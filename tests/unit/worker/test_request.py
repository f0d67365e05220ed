"""A request hides its text, whoever sent it, and knows what follows from it."""

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
        said = []
        channel = SimpleNamespace(closed=False)
        message = SimpleNamespace(
            headers={"id": "id", "task": EXTRACT, "argsrepr": repr(args), "kwargsrepr": repr(kwargs), **headers},
            properties={}, delivery_info={}, delivery_tag=tag, channel=channel,
        )  # fmt: skip
        request = BatchRequest(
            message, log_text=log_text, epoch=1, arrived=5.0, max_length=512, app=app, task=app.tasks[EXTRACT],
            body=(args, kwargs or {}, embed or {}), decoded=True, hostname="h",
            on_ack=lambda *_: said.append("ack"), on_reject=lambda *_: said.append("reject"),
        )  # fmt: skip
        request.said = said
        return request

    return make


def test_the_text_is_nowhere_to_be_seen(request_of):
    for request in (request_of(["秘密"]), request_of([], {"text": "秘密"}), request_of([["秘密"]])):
        for seen in (repr(request), request.info(), request.argsrepr, request.kwargsrepr, request.work, str(request)):
            assert "秘密" not in repr(seen)
    assert request_of(["秘密"]).argsrepr == "(<2 characters>)"


def test_the_text_is_seen_if_asked_for(request_of):
    request = request_of(["秘密"], log_text=True)
    assert "秘密" in request.argsrepr
    assert "秘密" in repr(request.info())


def test_the_policy_gets_its_size(request_of):
    item = request_of(["秘密"]).item
    assert (item.key, item.rows, item.longest, item.arrived, item.alone) == ("id", 1, 4, 5.0, False)


def test_only_what_has_followers_carries_celerys_whole_request(request_of):
    assert request_of(["秘密"], group="g", parent_id="p").work.canvas is None
    assert (request_of(["秘密"], group="g", parent_id="p").work.group) == "g"
    canvas = request_of(["秘密"], None, {"chord": {"task": "t"}}, root_id="r").work.canvas
    assert canvas["chord"] == {"task": "t"}
    assert canvas["root_id"] == "r"
    assert "秘密" not in canvas["argsrepr"]


def test_all_messages_of_a_request_are_acknowledged_once(request_of):
    request, copies = request_of(["甲"], tag="1"), [request_of(["甲"], tag="2"), request_of(["甲"], tag="3")]
    for copy in copies:
        request.adopt(copy)
    assert request.tags == ["1", "2", "3"]
    request.acknowledge()
    request.acknowledge()
    assert [each.said for each in (request, *copies)] == [["ack"]] * 3


def test_nothing_is_said_on_a_closed_channel(request_of):
    request = request_of(["甲"])
    request.message.channel.closed = True
    request.acknowledge()
    request.reject(requeue=True)
    assert request.said == []
    assert not request.acknowledged
