"""What messages are taken, and that nothing of another shape comes as far as Celery's code."""

import pytest

from nerq_worker.batching.wire import check

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
    check({"id": "1", "task": "nerq.extract", **headers}, EMBED)
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
