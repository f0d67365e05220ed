"""What messages are taken, and that nothing of another shape comes as far as Celery's code."""

import json

import pytest
from kombu.exceptions import ContentDisallowed
from kombu.message import Message

from hanner_worker.batching import message as wire
from hanner_worker.batching.message import PLAIN, check, payload

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
def test_what_celery_sends_is_taken(headers):
    check({"id": "1", "task": "hanner.extract", **headers}, EMBED)
    check({"id": "1", **headers}, None)


def test_followers_are_signatures():
    check({"id": "1"}, {"callbacks": [SIGNATURE], "errbacks": [], "chain": [SIGNATURE], "chord": SIGNATURE})


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
def test_wrong_headers_are_refused_by_a_value_error(headers):
    with pytest.raises(ValueError):  # noqa: PT011 - its message is nobody's business
        check(headers, EMBED)


@pytest.mark.parametrize(
    "embed",
    [5, [], {"callbacks": "x"}, {"callbacks": [1]}, {"chain": [{}]}, {"chord": []}, {"errbacks": [{"task": None}]}],
)
def test_wrong_followers_are_refused(embed):
    with pytest.raises(ValueError):  # noqa: PT011
        check({"id": "1"}, embed)


def test_the_error_quotes_nothing_of_the_message():
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check({"id": "1", "shadow": ["马云"], "retries": "马云"}, EMBED)
    assert "马云" not in str(caught.value)


USUAL_HEADERS = {
    "id": "a", "root_id": "a", "parent_id": None, "group": None, "group_index": None, "shadow": None, "retries": 0,
    "timelimit": [None, None], "ignore_result": False, "replaced_task_nesting": 0, "stamped_headers": None,
    "stamps": {},
}  # fmt: skip


@pytest.mark.parametrize("name", USUAL_HEADERS)
@pytest.mark.parametrize("value", [{}, [], "", "x" * 1001, "\ud800", -1.5, float("nan"), ["x"], b"x"])
def test_the_short_way_lets_nothing_pass_that_the_long_way_refuses(name, value):
    headers = USUAL_HEADERS | {name: value}
    try:
        wire._Headers.model_validate(headers)
    except ValueError:
        with pytest.raises(ValueError, match="validation error"):
            check(headers, None)
    else:
        check(headers, None)


def body_of(value, **options):
    options = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "accept": {"application/json"},
        **options,
    }
    return Message(body=json.dumps(value, ensure_ascii=False).encode(), **options)


@pytest.mark.parametrize(
    "value",
    [
        [["马云"], {}, PLAIN],
        [[{"__type__": "uuid", "__value__": {"hex": "0" * 32}}], {}, None],
        {"task": "hanner.extract", "args": ["马云"]},
    ],
)
def test_a_body_is_decoded_as_kombu_does(value):
    message = body_of(value)
    assert payload(message) == body_of(value).payload


def test_a_body_that_is_not_json_is_refused_as_kombu_does():
    with pytest.raises(ContentDisallowed):
        payload(body_of([], content_type="application/x-python-serialize"))
