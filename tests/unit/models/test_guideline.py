"""Labels of corpora are changed to our guideline: forms of address are whole, names of prizes are not marked."""

import random

import pytest

from hanner_models.data.datasets import Sentence, Span
from hanner_models.train.address import forms_of_address, title_length
from hanner_models.train.guideline import harmonise


def names(sentence):
    return [sentence.text[span.start : span.end] for span in sentence.spans]


@pytest.mark.parametrize(
    ("text", "surname", "whole"),
    [
        ("昨天王先生来了", "王", "王先生"),
        ("周总理的功勋", "周", "周总理"),
        ("感谢胡总的支持", "胡", "胡总"),
        ("我和老张说过", "张", "老张"),
        ("欧阳老师的课", "欧阳", "欧阳老师"),
        ("王总是迟到", "王", "王"),
        ("季羡林教授", "季羡林", "季羡林"),
    ],
)
def test_form_of_address_is_one_mention_with_a_bare_surname(text, surname, whole):
    start = text.index(surname)
    (sentence,) = harmonise([Sentence(text, (Span("PER", start, start + len(surname)),))])
    assert names(sentence) == [whole]


def test_form_of_address_does_not_overlap_the_next_mention():
    sentence = Sentence("王总统府", (Span("PER", 0, 1), Span("ORG", 1, 4)))
    assert harmonise([sentence]) == [sentence]


def test_person_in_the_name_of_a_prize_is_not_marked():
    sentence = Sentence("莫言获得诺贝尔文学奖", (Span("PER", 0, 2), Span("PER", 4, 7)))
    assert names(harmonise([sentence])[0]) == ["莫言"]


def test_person_who_receives_a_prize_is_marked():
    sentence = Sentence("张三奖励了李四", (Span("PER", 0, 2), Span("PER", 5, 7)))
    assert harmonise([sentence]) == [sentence]


def test_sentence_with_unmarked_form_of_address_is_dropped():
    assert harmonise([Sentence("客户李先生表示不满", ())]) == []
    assert len(harmonise([Sentence("客户表示不满", ())])) == 1


def test_generated_forms_are_surnames_with_title_or_prefix():
    for name in forms_of_address(random.Random(1), 300):
        assert name[0] in "老小阿" or title_length(name, 1) == len(name) - 1 or title_length(name, 2) == len(name) - 2
