"""The bundled models in the whole pipeline, without a queue: their entities, offsets, batches, padding and size."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner.cli import demo_texts
from hanner.contract import EXAMPLE_TEXT
from hanner_inference import load
from hanner_inference.package import bundled_models, open_package

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


SMALL = {"hanner-small": 12_000_000}
LARGEST = 32_000_000
"""Bytes that a bundled package may have."""


@pytest.fixture(scope="module", params=bundled_models())
def recogniser(request):
    return load(request.param)


def seen(entities):
    return [(e.text, e.type, e.start, e.end) for e in entities]


def assert_same(one, other):
    assert seen(one) == seen(other)
    for a, b in zip(one, other, strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-4)


def assert_well_formed(text, entities):
    previous_end = 0
    for entity in entities:
        assert entity.text == text[entity.start : entity.end]
        assert previous_end <= entity.start < entity.end <= len(text)
        assert 0 <= entity.score <= 1
        previous_end = entity.end


def test_finds_the_entities_of_the_example(recogniser):
    assert tuple(seen(recogniser.extract([EXAMPLE_TEXT])[0])) == demo_texts.EXPECTED


def test_full_width_and_half_width_texts_have_the_same_entities(recogniser):
    text = "ＩＢＭ公司２０１１年在北京开会"
    plain = "IBM公司2011年在北京开会"
    one, other = recogniser.extract([text, plain])
    assert [e[1:] for e in seen(one)] == [e[1:] for e in seen(other)]


def test_traditional_texts_have_the_entities_of_simplified_ones_and_keep_their_characters(recogniser):
    traditional, plain = recogniser.extract(["馬雲在杭州阿里巴巴總部發表演講", EXAMPLE_TEXT])
    assert [e[1:] for e in seen(traditional)] == [e[1:] for e in seen(plain)]
    assert [e.text for e in traditional] == ["馬雲", "杭州", "阿里巴巴"]


@given(st.lists(st.text() | st.lists(st.sampled_from(PIECES)).map("".join), min_size=1, max_size=12))
def test_offsets_match_the_text_and_results_do_not_depend_on_the_batch(recogniser, texts):
    together = recogniser.extract(texts)
    for text, entities in zip(texts, together, strict=True):
        assert_well_formed(text, entities)
        assert_same(entities, recogniser.extract([text])[0])


def test_real_texts_have_the_same_entities_in_every_batch(recogniser):
    texts = [*demo_texts.mixture(60), demo_texts.ARTICLE, *demo_texts.SENTENCES]
    alone = [recogniser.extract([text])[0] for text in texts]
    assert sum(map(len, alone)) > 200
    for seed in range(3):
        order = random.Random(seed).sample(range(len(texts)), len(texts))
        together = recogniser.extract([texts[i] for i in order])
        for i, entities in zip(order, together, strict=True):
            assert_well_formed(texts[i], entities)
            assert_same(entities, alone[i])


def test_a_thousand_mixed_texts_need_little_padding(recogniser, monkeypatch):
    class NoEngine:
        """Returns the same score for all labels: padding does not depend on the model."""

        def run(self, batch):
            shape = (len(batch.lengths), batch.columns, len(recogniser.package.manifest.labels))
            return np.zeros(shape, dtype=np.float32)

    monkeypatch.setattr(recogniser, "_engine", NoEngine())
    _, stats = recogniser.run(demo_texts.mixture(1000))
    assert stats.windows >= 1000
    assert stats.padding < 0.1


@pytest.mark.parametrize("name", bundled_models())
def test_the_package_is_small_and_its_manifest_has_scores_and_licences(name):
    package = open_package(name)
    assert sum(file.stat().st_size for file in package.path.iterdir()) <= SMALL.get(name, LARGEST)
    scores = package.manifest.verification["msra.dev.jsonl"]
    assert scores["f1"] >= 0.82
    assert abs(scores["f1"] - scores["fp32_f1"]) <= 0.002
    assert package.manifest.licences
    assert package.manifest.training
