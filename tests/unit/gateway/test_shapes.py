"""Hugging Face's shape, request ids, and which status each code has."""

import pytest

from hanner import Entity, ErrorCode, errors
from hanner_gateway import problems, request_id
from hanner_gateway.huggingface import elements
from hanner_gateway.schemas import HuggingFaceParameters

ENTITIES = [
    Entity(text="马云", type="PER", start=0, end=2, score=0.9),
    Entity(text="杭州", type="LOC", start=3, end=5, score=0.8),
]


def shaped(**parameters):
    return elements(ENTITIES, HuggingFaceParameters(**parameters))


def test_whole_entities_by_default():
    assert shaped()[0] == {"entity_group": "PER", "score": 0.9, "word": "马云", "start": 0, "end": 2}
    assert shaped(aggregation_strategy="max") == shaped() == shaped(aggregation_strategy="simple")
    assert [element["word"] for element in shaped(ignore_labels=["PER", "O"])] == ["杭州"]


def test_without_aggregation_each_character_has_its_label():
    assert shaped(aggregation_strategy="none")[:2] == [
        {"entity": "B-PER", "score": 0.9, "word": "马", "start": 0, "end": 1},
        {"entity": "I-PER", "score": 0.9, "word": "云", "start": 1, "end": 2},
    ]


@pytest.mark.parametrize("given", ["a", "3f/-_.:+=", "x" * 128])
def test_a_sound_request_id_is_kept(given):
    assert request_id.adopt(given) == given == request_id.current()


@pytest.mark.parametrize("given", [None, "", "a b", "a\nb", "x" * 129, "é", "a;b", "[a]"])
def test_another_is_replaced(given):
    made = request_id.adopt(given)
    assert made != given
    assert request_id.SOUND.fullmatch(made)


def test_the_id_is_stamped_on_hanners_messages_only():
    request_id.adopt("one")
    headers = {}
    request_id.stamp("other.task", headers, body=None)
    assert headers == {}
    request_id.stamp("hanner.extract", headers, body=None)
    assert headers == {"request_id": "one"}


def test_every_code_of_the_contract_has_a_status():
    assert set(problems.STATUS) == set(ErrorCode)
    for code, status in problems.STATUS.items():
        response = problems.of(errors.CLASSES[code]())
        assert response.status_code == status
        assert response.media_type == "application/problem+json"
        assert ("retry-after" in response.headers) == (status in {429, 503})


def test_a_full_queue_says_how_long_it_takes():
    error = errors.QueueFull()
    error.seconds = 12.3
    assert problems.of(error).headers["retry-after"] == "13"
