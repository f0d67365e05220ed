"""Augmentation keeps labels aligned with names."""

import random

from hypothesis import given
from hypothesis import strategies as st

from hanner_models.data.datasets import Sentence, Span
from hanner_models.train.augment import NamePools, add_noise, fill_template, join_sentences, parse_marked, replace_names

NAMES = NamePools({"PER": [["王小明"], [], ["李"]], "ORG": [["很长的一家公司名称"]]})
ALL = {"PER": {"王小明", "李"}, "ORG": {"很长的一家公司名称"}, "LOC": set()}


@st.composite
def sentences(draw):
    """Sentences of punctuation and a few known names."""
    text, spans = "", []
    for _ in range(draw(st.integers(0, 6))):
        text += draw(st.text("，。！？：、好的", max_size=4))
        if draw(st.booleans()):
            name = draw(st.sampled_from(["张三", "北京", "甲、乙公司"]))
            spans.append(
                Span({"张三": "PER", "北京": "LOC", "甲、乙公司": "ORG"}[name], len(text), len(text) + len(name))
            )
            text += name
    return Sentence(text, tuple(spans))


def names(sentence):
    return [(span.type, sentence.text[span.start : span.end]) for span in sentence.spans]


@given(sentences(), st.integers())
def test_noise_keeps_all_entities_in_order(sentence, seed):
    noisy = add_noise(sentence, random.Random(seed))
    ascii_form = str.maketrans("、", ",")
    assert [(t, n.translate(ascii_form)) for t, n in names(noisy)] == [
        (t, n.translate(ascii_form)) for t, n in names(sentence)
    ]


@given(sentences(), st.integers())
def test_replacement_changes_only_names(sentence, seed):
    changed = replace_names(sentence, NAMES, random.Random(seed))
    assert [t for t, _ in names(changed)] == [t for t, _ in names(sentence)]
    for (kind, new), (_, old) in zip(names(changed), names(sentence), strict=True):
        assert new == old or new in ALL[kind]
    assert outside(changed) == outside(sentence)


def outside(sentence):
    inside = {i for span in sentence.spans for i in range(span.start, span.end)}
    return "".join(c for i, c in enumerate(sentence.text) if i not in inside)


def test_repeated_name_gets_the_same_replacement():
    sentence = Sentence("张三说张三", (Span("PER", 0, 2), Span("PER", 3, 5)))
    replaced = {tuple(n for _, n in names(replace_names(sentence, NAMES, random.Random(i)))) for i in range(20)}
    assert replaced == {("张三", "张三"), ("王小明", "王小明"), ("李", "李")}


@given(st.lists(sentences(), min_size=1, max_size=4))
def test_joining_keeps_all_entities(parts):
    assert names(join_sentences(parts)) == [name for part in parts for name in names(part)]


def test_names_in_filled_templates_are_labelled():
    filled = {fill_template("{PER}加盟{ORG}。", NAMES, random.Random(i)) for i in range(20)}
    assert {tuple(names(sentence)) for sentence in filled} == {
        (("PER", "王小明"), ("ORG", "很长的一家公司名称")),
        (("PER", "李"), ("ORG", "很长的一家公司名称")),
    }
    assert {outside(sentence) for sentence in filled} == {"加盟。"}


def test_slot_without_names_stays_empty():
    assert fill_template("{LOC}下雨", NAMES, random.Random(0)) == Sentence("下雨", ())


def test_marked_names_are_labelled():
    spans = (Span("PER", 0, 2), Span("LOC", 3, 5))
    assert parse_marked("[马云|PER]在[杭州|LOC]演讲") == Sentence("马云在杭州演讲", spans)
    assert parse_marked("今天降温[图片]") == Sentence("今天降温[图片]", ())
