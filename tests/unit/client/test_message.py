"""Our messages compared with Celery's own, key by key."""

import base64
import json
from datetime import datetime

import pytest
from celery.signals import after_task_publish, before_task_publish
from kombu import Connection, Producer

from hanner.settings import Settings
from hanner.transport.celery_app import make_celery
from hanner.transport.message import MessageBuilder

ID = "2147a0a7-404e-4168-85dc-afbe9391eb19"
TEXT = "昨天😀马云\u0000在杭州"


def ours(argument=TEXT, *, log_text=False, **options):
    builder = MessageBuilder(log_text=log_text)
    return json.loads(builder.build(ID, "hanner.extract", argument, queue="hanner", now=1e9, **options).encode())


def celerys(**options):
    """Return what Celery would push, captured in the channel."""
    app = make_celery(Settings())
    message = app.amqp.create_task_message(ID, "hanner.extract", [TEXT], {}, **options)
    with Connection("memory://") as connection:
        caught = []
        channel = connection.default_channel
        channel.typeof("").deliver = lambda *_, **__: None
        channel._put = lambda queue, message, **_: caught.append(message)
        producer = Producer(channel, auto_declare=False)
        app.amqp.send_task_message(producer, "hanner.extract", message, queue="hanner", retry=False)
    return caught[0]


@pytest.fixture
def theirs():
    return celerys(argsrepr="(<9 characters>)", kwargsrepr="{}", origin="us")


def body(message):
    return json.loads(base64.b64decode(message["body"]))


def test_parts_match_celery(theirs):
    mine = ours()
    assert list(mine) == list(theirs)
    for part in ("content-type", "content-encoding"):
        assert mine[part] == theirs[part]
    assert body(mine) == json.loads(base64.b64decode(theirs["body"])) == [[TEXT], {}, body(theirs)[2]]


def test_headers_match_celery_plus_one_of_ours(theirs):
    headers = ours()["headers"]
    assert headers.pop("hanner") == {"sent_at": 1e9, "texts": 1}
    assert headers.pop("origin").startswith("hanner")
    theirs["headers"].pop("origin")
    assert headers == theirs["headers"]


def test_a_message_names_the_channel_of_an_awaited_result():
    assert ours(replies="0f")["headers"]["hanner"] == {"sent_at": 1e9, "texts": 1, "replies": "0f"}


def test_properties_match_celery(theirs):
    properties = ours()["properties"]
    assert properties.pop("delivery_tag") != theirs["properties"].pop("delivery_tag")
    assert properties == theirs["properties"]


def test_delivery_tag_is_unique():
    assert ours()["properties"]["delivery_tag"] == ID


def test_expiry_is_relative_to_now():
    assert datetime.fromisoformat(ours(expires=1.5)["headers"]["expires"]).timestamp() == 1e9 + 1.5


def test_header_has_the_number_of_texts():
    mine = ours([TEXT, TEXT])
    assert mine["headers"]["hanner"]["texts"] == 2
    assert body(mine)[0] == [[TEXT, TEXT]]


def test_texts_are_redacted_in_headers_by_default():
    assert "马云" not in json.dumps(ours()["headers"], ensure_ascii=False)
    assert "马云" in ours(log_text=True)["headers"]["argsrepr"]


def test_utf8_takes_half_the_bytes(theirs):
    assert len(ours("马云" * 500)["body"]) < 0.55 * len(json.dumps([["马云" * 500]])) * 4 / 3


def test_signal_receivers_are_called_and_may_add_headers():
    received = []

    def before(sender, headers, body, routing_key, properties, **_):
        headers["trace"] = "abc"
        received.append((sender, headers["id"], routing_key))

    def after(sender, headers, **_):
        received.append((sender, headers["trace"]))

    before_task_publish.connect(before)
    after_task_publish.connect(after)
    try:
        message = MessageBuilder(log_text=False).build(ID, "hanner.extract", TEXT, queue="hanner", now=1e9)
        assert json.loads(message.encode())["headers"]["trace"] == "abc"
        message.send_published_signal()
    finally:
        before_task_publish.disconnect(before)
        after_task_publish.disconnect(after)
    assert received == [("hanner.extract", ID, "hanner"), ("hanner.extract", "abc")]
