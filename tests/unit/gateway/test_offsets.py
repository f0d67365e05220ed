"""Filters, and offsets in other units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner import Document, Entity, Failure
from hanner_gateway.offsets import apply_options, apply_options_to_document, convert_offsets
from hanner_gateway.schemas import Options, Unit

TEXT = "😀马云Ab在👨‍👩‍👧杭州é"


def entity(start, end, text=TEXT, kind="PER", score=0.9):
    return Entity(text=text[start:end], type=kind, start=start, end=end, score=score)


def cut(text, found, unit):
    if unit is Unit.UTF16:
        return text.encode("utf-16-le")[found.start * 2 : found.end * 2].decode("utf-16-le")
    if unit is Unit.BYTE:
        return text.encode()[found.start : found.end].decode()
    return text[found.start : found.end]


@pytest.mark.parametrize("unit", Unit)
@given(text=st.text(max_size=60), cuts=st.lists(st.integers(0, 60), max_size=12))
def test_offsets_select_the_same_text_in_every_unit(unit, text, cuts):
    edges = sorted({min(edge, len(text)) for edge in cuts})
    entities = [entity(*pair, text) for pair in zip(edges[::2], edges[1::2], strict=False)]
    result = convert_offsets(text, entities, unit)
    assert [cut(text, found, unit) for found in result] == [found.text for found in entities]
    assert [found.type for found in result] == [found.type for found in entities]


def test_emoji_shifts_the_offsets_after_it():
    [found] = convert_offsets(TEXT, [entity(1, 3)], Unit.UTF16)
    assert (found.start, found.end) == (2, 4)
    [found] = convert_offsets(TEXT, [entity(1, 3)], Unit.BYTE)
    assert (found.start, found.end) == (4, 10)


def test_entities_are_filtered_by_type_and_score():
    entities = [entity(1, 3), entity(3, 5, kind="ORG", score=0.4), entity(11, 13, kind="LOC")]
    assert apply_options(TEXT, entities, Options()) == entities
    assert apply_options(TEXT, entities, Options(types=["ORG", "LOC"])) == entities[1:]
    assert apply_options(TEXT, entities, Options(min_score=0.5)) == [entities[0], entities[2]]
    assert apply_options(TEXT, entities, Options(types=[])) == []


def test_failed_document_is_returned_unchanged():
    failed = Document(error=Failure(code="model_failed", message="m"))
    assert apply_options_to_document(TEXT, failed, Options(types=["PER"])) is failed
