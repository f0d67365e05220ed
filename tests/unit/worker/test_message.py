"""Which messages are valid; invalid ones never reach Celery's code."""

import json
from zoneinfo import ZoneInfo

import kombu
import pytest
from celery.utils.time import maybe_iso8601, maybe_make_aware
from kombu.exceptions import ContentDisallowed
from kombu.message import Message as KombuMessage
from kombu.transport import virtual

from hanner_worker.batching import message as wire
from hanner_worker.batching.message import NO_CANVAS, decode_body, validate
from hanner_worker.batching.refusal import refuse
from hanner_worker.delivery.channel import Message

EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
SIGNATURE = {"task": "some.task", "args": [], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"timelimit": [None, None]},
        {"timelimit": (None, None)},
        {"timelimit": [60, 30.5], "retries": 3, "group": "g", "root_id": "r", "parent_id": None},
        {"stamped_headers": ["tenant"], "stamps": {"tenant": ["x"]}, "shadow": "name", "ignore_result": True},
        {"unheard-of": object()},
    ],
)
def test_messages_of_celery_are_valid(headers):
    validate({"id": "1", "task": "hanner.extract", **headers}, EMBED)
    validate({"id": "1", **headers}, None)


def test_callbacks_chain_and_chord_are_signatures():
    validate({"id": "1"}, {"callbacks": [SIGNATURE], "errbacks": [], "chain": [SIGNATURE], "chord": SIGNATURE})


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        {},
        {"id": None},
        {"id": 1},
        {"id": ""},
        {"id": "\ud800"},
        {"id": "1", "timelimit": 1},
        {"id": "1", "timelimit": "xx"},
        {"id": "1", "timelimit": ["x", None]},
        {"id": "1", "timelimit": [1]},
        {"id": "1", "timelimit": [-1, None]},
        {"id": "1", "timelimit": [float("nan"), None]},
        {"id": "1", "timelimit": [10**30, None]},
        {"id": "1", "timelimit": [True, None]},
        {"id": "1", "stamped_headers": 1},
        {"id": "1", "stamps": []},
        {"id": "1", "root_id": {}},
        {"id": "1", "group": 5},
        {"id": "1", "retries": "x"},
        {"id": "1", "shadow": []},
    ],
)
def test_invalid_headers_raise_a_value_error(headers):
    with pytest.raises(ValueError):  # noqa: PT011 - its message is pydantic's
        validate(headers, EMBED)


@pytest.mark.parametrize(
    "embed",
    [5, [], {"callbacks": "x"}, {"callbacks": [1]}, {"chain": [{}]}, {"chord": []}, {"errbacks": [{"task": None}]}],
)
def test_invalid_callbacks_raise_a_value_error(embed):
    with pytest.raises(ValueError):  # noqa: PT011
        validate({"id": "1"}, embed)


def test_the_error_does_not_quote_the_message():
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        validate({"id": "1", "shadow": ["马云"], "retries": "马云"}, EMBED)
    assert "马云" not in str(caught.value)


DEFAULT_HEADERS = {
    "id": "a", "root_id": "a", "parent_id": None, "group": None, "group_index": None, "shadow": None, "retries": 0,
    "timelimit": [None, None], "ignore_result": False, "replaced_task_nesting": 0, "stamped_headers": None,
    "stamps": {},
}  # fmt: skip


@pytest.mark.parametrize("name", DEFAULT_HEADERS)
@pytest.mark.parametrize("value", [{}, [], "", "x" * 1001, "\ud800", -1.5, float("nan"), ["x"], b"x"])
def test_the_fast_check_accepts_only_what_pydantic_accepts(name, value):
    headers = DEFAULT_HEADERS | {name: value}
    try:
        wire._Headers.model_validate(headers)
    except ValueError:
        with pytest.raises(ValueError, match="validation error"):
            validate(headers, None)
    else:
        validate(headers, None)


def body_of(value, **options):
    options = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "accept": {"application/json"},
        **options,
    }
    return KombuMessage(body=json.dumps(value, ensure_ascii=False).encode(), **options)


@pytest.mark.parametrize(
    "value",
    [
        [["马云"], {}, NO_CANVAS],
        [[{"__type__": "uuid", "__value__": {"hex": "0" * 32}}], {}, None],
        {"task": "hanner.extract", "args": ["马云"]},
    ],
)
def test_a_body_is_decoded_as_kombu_does(value):
    message = body_of(value)
    assert decode_body(message) == body_of(value).payload


def test_a_body_that_is_not_json_is_refused_as_kombu_does():
    with pytest.raises(ContentDisallowed):
        decode_body(body_of([], content_type="application/x-python-serialize"))


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (
            {"eta": "tomorrow"},
            "the header eta of the message is not valid; send a time as in 2026-01-31T12:00:00+00:00",
        ),
        ({"eta": ""}, "the header eta of the message is not valid; send a time as in 2026-01-31T12:00:00+00:00"),
        (
            {"expires": 60},
            "the header expires of the message is not valid; send a time as in 2026-01-31T12:00:00+00:00",
        ),
        (
            {"timelimit": [None, "x"]},
            "the header timelimit of the message is not valid; send [HARD, SOFT] in seconds, where null is no limit",
        ),
        ({"retries": "secret"}, "the header retries of the message is not valid; send it as Celery does"),
        (
            {"eta": "2026-01-31T12:00:00+00:00", "expires": "2026-01-31T12:00:00.5Z"},
            "the message is not a hanner.extract request; send [[argument], {}, {}] as JSON",
        ),
    ],
)
def test_the_error_of_a_refused_message_names_its_wrong_header(headers, reason):
    headers = {"id": "1", "hanner": {"replies": "a" * 32}, **headers}
    message, completed = KombuMessage(headers=headers, delivery_tag="tag"), []
    refuse(message, ValueError(), lambda _, completion: completed.append(completion), "hanner.extract")
    (completion,) = completed
    assert str(completion.result) == reason
    assert completion.request.replies == f"hanner:replies:{'a' * 32}"


@pytest.mark.parametrize(
    "value",
    ["2026-01-31T12:00:00+00:00", "2026-01-31T12:00:00.250000+00:00", "2026-01-31T24:00:00+00:00",
     "2026-W05-6T12:00:00+00:00", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00+08:00", "2026-01-31T12:00:00.5"],
)  # fmt: skip
@pytest.mark.parametrize("timezone", [None, ZoneInfo("Asia/Shanghai")])
def test_times_are_read_as_celery_reads_them(value, timezone):
    ours, theirs = wire.to_timezone(wire.parse_time(value), timezone), maybe_make_aware(maybe_iso8601(value), timezone)
    assert ours == theirs
    assert ours.isoformat() == theirs.isoformat()


@pytest.mark.parametrize("value", ["2026-13-31T12:00:00+00:00", "tomorrow"])
def test_what_is_not_a_time_is_refused_as_celery_does(value):
    with pytest.raises(ValueError):  # noqa: PT011 - of dateutil
        wire.parse_time(value)


@pytest.mark.parametrize(
    ("body", "properties", "headers"),
    [
        ("WyLnlLIiXQ==", {"body_encoding": "base64"}, {"id": "1"}),
        ('["甲"]', {}, {"id": "1"}),
        ("", {"delivery_info": {"routing_key": "hanner"}}, None),
        ("eJyLjo6NBQADmAFx", {"body_encoding": "base64"}, {"compression": "application/x-gzip"}),
    ],
)
def test_a_message_is_as_kombus(body, properties, headers):
    channel = kombu.Connection("memory://").channel()
    raw = {"body": body, "content-type": "application/json", "content-encoding": "utf-8", "headers": headers}
    raw["properties"] = {"delivery_tag": "tag", **properties}
    ours, theirs = (kind(raw, channel=channel) for kind in (Message, virtual.Message))
    names = {name for cls in virtual.Message.__mro__ for name in getattr(cls, "__slots__", ()) if name != "__dict__"}
    names |= vars(theirs).keys() - {"_raw"}
    assert {name: getattr(ours, name) for name in names} == {name: getattr(theirs, name) for name in names}
    assert ours.serializable() == theirs.serializable()
