"""Hugging Face's format, request ids, and the status of each error code."""

import pytest

from hanner import Entity, ErrorCode, errors
from hanner_gateway import problems, request_id
from hanner_gateway.routes.entities import to_huggingface
from hanner_gateway.schemas import HuggingFaceParameters

ENTITIES = [
    Entity(text="马云", type="PER", start=0, end=2, score=0.9),
    Entity(text="杭州", type="LOC", start=3, end=5, score=0.8),
]


def converted(**parameters):
    return to_huggingface(ENTITIES, HuggingFaceParameters(**parameters))


def test_default_strategy_returns_whole_entities():
    assert converted()[0] == {"entity_group": "PER", "score": 0.9, "word": "马云", "start": 0, "end": 2}
    assert converted(aggregation_strategy="max") == converted() == converted(aggregation_strategy="simple")
    assert [element["word"] for element in converted(ignore_labels=["PER", "O"])] == ["杭州"]


def test_strategy_none_labels_each_character():
    assert converted(aggregation_strategy="none")[:2] == [
        {"entity": "B-PER", "score": 0.9, "word": "马", "start": 0, "end": 1},
        {"entity": "I-PER", "score": 0.9, "word": "云", "start": 1, "end": 2},
    ]


@pytest.mark.parametrize("given", ["a", "3f/-_.:+=", "x" * 128])
def test_valid_request_id_is_kept(given):
    assert request_id.set_current(given) == given == request_id.current()


@pytest.mark.parametrize("given", [None, "", "a b", "a\nb", "x" * 129, "é", "a;b", "[a]"])
def test_invalid_request_id_is_replaced(given):
    made = request_id.set_current(given)
    assert made != given
    assert request_id.VALID.fullmatch(made)


def test_request_id_is_added_to_hanners_messages_only():
    request_id.set_current("one")
    headers = {}
    request_id.add_to_message("other.task", headers, body=None)
    assert headers == {}
    request_id.add_to_message("hanner.extract", headers, body=None)
    assert headers == {"request_id": "one"}


def test_every_error_code_has_a_status():
    assert set(problems.STATUS) == set(ErrorCode)
    for code, status in problems.STATUS.items():
        response = problems.error_response(errors.CLASSES[code]())
        assert response.status_code == status
        assert response.media_type == "application/problem+json"
        assert ("retry-after" in response.headers) == (status in {429, 503})


def test_full_queue_sets_retry_after():
    error = errors.QueueFull()
    error.seconds = 12.3
    assert problems.error_response(error).headers["retry-after"] == "13"
