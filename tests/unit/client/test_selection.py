"""Entities are selected by type and score; lists of entities are shown in notebooks and written as JSON."""

import json

import pytest

from hanner import Document, Entity, InvalidSettings
from hanner.results import EntityList
from hanner.selection import ALL, Selection

PERSON = Entity(text="马云", type="PER", start=0, end=2, score=0.9)
PLACE = Entity(text="杭州", type="LOC", start=3, end=5, score=0.4)
FOUND = EntityList([PERSON, PLACE], "small@1")


@pytest.mark.parametrize(
    ("types", "min_score", "kept"),
    [
        (None, 0, [PERSON, PLACE]),
        (["LOC"], 0.0, [PLACE]),
        ({"PER", "LOC"}, 0.4, [PERSON, PLACE]),
        (("LOC",), 0.5, []),
        ([], 0, []),
    ],
)
def test_types_and_score(types, min_score, kept):
    selection = Selection.make(types, min_score)
    selected = selection.apply_to_list(FOUND, "马云在杭州")
    assert (selected, selected.model, selected.text) == (kept, "small@1", "马云在杭州")
    document = Document(entities=(PERSON, PLACE)).with_text("马云在杭州")
    assert selection.apply_to_document(document).entities == tuple(kept)
    assert selection.apply_to_document(document).text == "马云在杭州"


def test_all_is_the_default():
    assert Selection.make(None, 0) == ALL


@pytest.mark.parametrize(
    ("types", "min_score"), [("PER", 0), ([1], 0), (None, -0.1), (None, 2), (None, True), (None, "x")]
)
def test_invalid_selections_are_refused(types, min_score):
    with pytest.raises(InvalidSettings, match=r"^(types|min_score) must be a "):
        Selection.make(types, min_score)


def test_list_is_shown_with_its_text_and_written_as_json():
    html = EntityList([PERSON], "small@1", "马云在杭州")._repr_html_()
    assert "<mark" in html
    assert html.count("在杭州") == 1
    assert "<mark" in EntityList([PERSON])._repr_html_()
    assert json.loads(FOUND.to_json()) == FOUND
    assert json.loads(json.dumps(FOUND, default=dict)) == json.loads(FOUND.to_json())
    document = Document(entities=(PERSON,))
    assert json.loads(json.dumps([document], default=dict))[0]["entities"] == [PERSON]
