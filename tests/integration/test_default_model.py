"""The bundled model through the whole runtime, no queue: what it finds, and that the promises hold for it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanner.cli import demo_texts
from hanner_inference import load
from hanner_inference.package import open_package

FIRST = "马云在杭州阿里巴巴总部发表演讲"
PIECES = [
    "马云",
    "杭州",
    "，",
    "。",
    "😀",
    "👨‍👩‍👧",
    "Ａ１",
    "Tim Cook",
    " ",
    "\n",
    "\x00",
    "é",
    "ﬁ",
    "中国科学院",
    "\u200b",
    "İ",
    "𠮷",
]


@pytest.fixture(scope="module")
def recogniser():
    return load()


def seen(entities):
    return [(e.text, e.type, e.start, e.end) for e in entities]


def assert_same(one, other):
    assert seen(one) == seen(other)
    for a, b in zip(one, other, strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-4)


def assert_well_formed(text, entities):
    reached = 0
    for entity in entities:
        assert entity.text == text[entity.start : entity.end]
        assert reached <= entity.start < entity.end <= len(text)
        assert 0 <= entity.score <= 1
        reached = entity.end


def test_finds_what_everyone_sees(recogniser):
    assert seen(recogniser.extract([FIRST])[0]) == [
        ("马云", "PER", 0, 2),
        ("杭州", "LOC", 3, 5),
        ("阿里巴巴", "ORG", 5, 9),
    ]


def test_full_width_letters_and_digits_are_read_as_half_width(recogniser):
    text = "ＩＢＭ公司２０１１年在北京开会"
    plain = "IBM公司2011年在北京开会"
    one, other = recogniser.extract([text, plain])
    assert [e[1:] for e in seen(one)] == [e[1:] for e in seen(other)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text() | st.lists(st.sampled_from(PIECES)).map("".join), min_size=1, max_size=12))
def test_offsets_hold_and_company_changes_nothing(recogniser, texts):
    together = recogniser.extract(texts)
    for text, entities in zip(texts, together, strict=True):
        assert_well_formed(text, entities)
        assert_same(entities, recogniser.extract([text])[0])


def test_real_texts_are_answered_the_same_in_every_batch(recogniser):
    texts = [*demo_texts.mixture(150), demo_texts.ARTICLE, *demo_texts.SENTENCES]
    alone = [recogniser.extract([text])[0] for text in texts]
    assert sum(map(len, alone)) > 200
    for seed in range(3):
        order = random.Random(seed).sample(range(len(texts)), len(texts))
        together = recogniser.extract([texts[i] for i in order])
        for i, entities in zip(order, together, strict=True):
            assert_well_formed(texts[i], entities)
            assert_same(entities, alone[i])


def test_a_mixed_thousand_is_worked_on_with_little_padding(recogniser):
    _, stats = recogniser.run(demo_texts.mixture(1000))
    assert stats.padding < 0.1


def test_the_package_is_small_and_its_manifest_has_its_figures():
    package = open_package()
    assert sum(file.stat().st_size for file in package.path.iterdir()) <= 12_000_000
    figures = package.manifest.verification["msra.dev.jsonl"]
    assert figures["f1"] >= 0.82
    assert abs(figures["f1"] - figures["fp32_f1"]) <= 0.002
    assert package.manifest.licences
    assert package.manifest.training
