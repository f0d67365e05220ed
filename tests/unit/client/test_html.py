"""Documents in notebooks."""

import re
from html.parser import HTMLParser

import pytest

from hanner import Document, Entity, Failure
from hanner._requests import Chunk
from hanner.html import TINTS

TEXT = "马云在<b>杭州</b>&😀\n北京"


def entity(text, kind, start):
    return Entity(text=text, type=kind, start=start, end=start + len(text), score=0.5)


ENTITIES = (entity("马云", "PER", 0), entity("杭州", "LOC", 6), entity("北京", "X<", 15))


class Page(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_text_is_shown_with_entity_types_written_out():
    page = Page(Document(entities=ENTITIES).with_text(TEXT)._repr_html_())
    assert page.text == "马云PER在<b>杭州LOC</b>&😀\n北京X<"
    assert [tag for tag, _ in page.tags] == ["div", *["mark", "small"] * 3]
    assert page.tags[1][1]["title"] == "PER 0–2, score 0.500"


def test_html_loads_nothing_and_works_in_light_and_dark_themes():
    page = Page(Document(entities=ENTITIES).with_text(TEXT)._repr_html_())
    for tag, attributes in page.tags:
        assert attributes.keys() <= {"style", "title", "lang"}
        assert tag == "div" or "color:inherit" in attributes["style"]
    assert "url(" not in Document(entities=ENTITIES).with_text(TEXT)._repr_html_()


def luminance(colour):
    parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("kind", TINTS)
@pytest.mark.parametrize(("paper", "ink"), [((255,) * 3, (33,) * 3), ((17,) * 3, (222,) * 3)], ids=["light", "dark"])
def test_marks_are_legible(kind, paper, ink):
    style = Page(Document(entities=(entity("马", kind, 0),)).with_text("马")._repr_html_()).tags[1][1]["style"]
    *tint, alpha = map(float, re.search(r"background:rgba\((\d+),(\d+),(\d+),([\d.]+)\)", style).groups())
    mixed = [p * (1 - alpha) + t * alpha for p, t in zip(paper, tint, strict=True)]
    dark, light = sorted([luminance(mixed), luminance(ink)])
    assert (light + 0.05) / (dark + 0.05) >= 7  # WCAG AAA


def test_document_without_text_lists_its_entities():
    assert Page(Document(entities=ENTITIES[:2])._repr_html_()).text == "马云PER 杭州LOC"
    assert Page(Document()._repr_html_()).text == "no entities"
    assert Page(Document().with_text("")._repr_html_()).text == "an empty text"


def test_an_error_is_shown_with_its_code():
    failed = Document(error=Failure(code="worker_lost", message="<died>"))
    assert Page(failed.with_text("甲<")._repr_html_()).text == "worker_lost: <died>甲<"


def test_text_is_neither_serialised_nor_compared():
    known, unknown = Document(entities=ENTITIES).with_text(TEXT), Document(entities=ENTITIES)
    assert known == unknown
    assert hash(known) == hash(unknown)
    assert known != Document()
    assert known != TEXT
    assert known.model_dump_json() == unknown.model_dump_json()
    assert (known.text, unknown.text) == (TEXT, None)


def test_chunks_add_texts_to_documents():
    chunk = Chunk()
    for text in ("甲", 5, "乙"):
        chunk.add(text, 10)
    assert [document.text for document in chunk.merge([Document(), Document()])] == ["甲", None, "乙"]
