"""The evaluation sentences in tests/data: their spans are right, all categories are present, no sentence is in both."""

import json
from collections import Counter
from pathlib import Path

import pytest

from hanner_models.data.datasets import read_sentences

FOLDER = Path(__file__).parents[2] / "data" / "evaluation"
HALVES = ("dev", "test")
CATEGORIES = {
    "news", "business", "sports", "entertainment", "science", "social", "chat", "ecommerce", "addresses", "traditional",
    "mixed", "classical", "titles", "foreign",
}  # fmt: skip


def records(half):
    lines = (FOLDER / f"modern.{half}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("half", HALVES)
def test_spans_have_the_stated_text_and_do_not_overlap(half):
    for record in records(half):
        end = 0
        for entity in record["entities"]:
            assert record["text"][entity["start"] : entity["end"]] == entity["text"] != "", record["text"]
            assert entity["text"] == entity["text"].strip("《》“”\"' ，。")
            assert entity["type"] in {"PER", "LOC", "ORG"}
            assert entity["start"] >= end, record["text"]
            end = entity["end"]
        assert record["guideline"] == 1


@pytest.mark.parametrize("half", HALVES)
def test_each_category_has_at_least_twelve_sentences(half):
    counts = Counter(record["category"] for record in records(half))
    assert counts.keys() == CATEGORIES
    assert min(counts.values()) >= 12
    assert counts.total() == 200


@pytest.mark.parametrize("half", HALVES)
def test_some_sentences_have_no_names_and_each_type_is_frequent(half):
    assert sum(not record["entities"] for record in records(half)) >= 8
    types = Counter(entity["type"] for record in records(half) for entity in record["entities"])
    assert min(types.values()) >= 100


def test_halves_share_no_sentence():
    dev, test = ({record["text"] for record in records(half)} for half in HALVES)
    assert len(dev) == len(test) == 200
    assert not dev & test


@pytest.mark.parametrize("half", HALVES)
def test_evaluation_reads_the_sentences(half):
    sentences = read_sentences(FOLDER / f"modern.{half}.jsonl")
    assert sum(len(sentence.spans) for sentence in sentences) == sum(len(r["entities"]) for r in records(half))
