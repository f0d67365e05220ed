"""Entities: read-only dicts whose members are attributes, too."""

import copy
import json
import pickle

import pytest
from kombu.serialization import dumps, loads
from pydantic import TypeAdapter, ValidationError

from hanner.results import Document, Entity, ExtractResult

MEMBERS = {"text": "马云", "type": "PER", "start": 0, "end": 2, "score": 0.9}
ENTITY = Entity(**MEMBERS)


def test_entity_is_written_as_json_object():
    assert json.dumps([ENTITY], ensure_ascii=False) == (
        '[{"text": "马云", "type": "PER", "start": 0, "end": 2, "score": 0.9}]'
    )
    assert dict(ENTITY) == MEMBERS
    assert {**ENTITY} == MEMBERS


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_celery_task_may_return_entities(serializer):
    content_type, encoding, data = dumps({"found": [ENTITY]}, serializer=serializer)
    assert loads(data, content_type, encoding, accept={content_type}) == {"found": [MEMBERS]}


def test_members_are_attributes():
    assert (ENTITY.text, ENTITY.type, ENTITY.start, ENTITY.end, ENTITY.score) == tuple(MEMBERS.values())
    assert repr(ENTITY) == "Entity(text='马云', type='PER', start=0, end=2, score=0.9)"
    match ENTITY:
        case Entity(type="PER", start=start):
            assert start == 0
        case _:
            pytest.fail("the pattern does not match")


@pytest.mark.parametrize(
    "change",
    [
        lambda entity: entity.__setitem__("start", 1),
        lambda entity: entity.__delitem__("start"),
        lambda entity: entity.update(start=1),
        lambda entity: entity.__ior__({"start": 1}),
        lambda entity: entity.setdefault("other", 1),
        lambda entity: entity.pop("start"),
        lambda entity: entity.popitem(),
        lambda entity: entity.clear(),
        lambda entity: setattr(entity, "start", 1),
        lambda entity: setattr(entity, "other", 1),
    ],
)
def test_entity_cannot_be_changed(change):
    entity = Entity(**MEMBERS)
    with pytest.raises((TypeError, AttributeError)):
        change(entity)
    assert entity == ENTITY
    assert hash(entity) == hash(ENTITY)


def test_entity_without_a_member_is_refused():
    with pytest.raises(TypeError, match="score"):
        Entity(text="马云", type="PER", start=0, end=2)


def test_entity_is_copied_and_pickled():
    for copied in (copy.copy(ENTITY), copy.deepcopy(ENTITY), pickle.loads(pickle.dumps(ENTITY))):
        assert type(copied) is Entity
        assert copied == ENTITY
    assert ENTITY | {"start": 1} == {**MEMBERS, "start": 1}


def test_results_are_checked():
    found = ExtractResult.model_validate({"entities": [{**MEMBERS, "new": 1}], "model": "m@0"})
    assert found.entities == (ENTITY,)
    assert type(found.entities[0]) is Entity
    assert json.loads(Document(entities=(ENTITY,)).model_dump_json()) == {"entities": [MEMBERS], "error": None}
    for wrong in ({"start": -1}, {"end": 0}, {"score": 1.5}, {"text": 7}):
        with pytest.raises(ValidationError):
            TypeAdapter(Entity).validate_python(MEMBERS | wrong)


def test_schema_describes_the_members():
    schema = TypeAdapter(list[Entity]).json_schema()
    assert schema["items"] == {"$ref": "#/$defs/Entity"}
    assert set(schema["$defs"]["Entity"]["required"]) == set(MEMBERS)
    assert all(member["description"] for member in schema["$defs"]["Entity"]["properties"].values())
