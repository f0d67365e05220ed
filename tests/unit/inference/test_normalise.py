"""Normalisation maps every code point to exactly one code point."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner_inference.tokenization.normalise import _lower_forms, _simplified_forms, normalise

any_text = st.text(st.characters(exclude_categories=()))


@given(any_text, st.booleans(), st.booleans(), st.booleans())
def test_normalising_never_moves_a_character(text, half_width, lowercase, fold_traditional):
    options = {"half_width": half_width, "lowercase": lowercase, "fold_traditional": fold_traditional}
    result = normalise(text, **options)
    assert len(result) == len(text)
    assert normalise(result, **options) == result


@given(any_text, any_text)
def test_the_result_for_a_character_does_not_depend_on_its_neighbours(left, right):
    whole, first, second = (normalise(part, half_width=True, lowercase=True) for part in (left + right, left, right))
    assert whole == first + second


@pytest.mark.parametrize(
    ("text", "half_width", "lowercase", "expected"),
    [
        ("ＡＢＣ１２３　ｘｙｚ", True, False, "ABC123 xyz"),
        ("ＡＢＣ１２３　ｘｙｚ", True, True, "abc123 xyz"),
        ("ＡＢＣ", False, False, "ＡＢＣ"),
        ("ＡＢＣ", False, True, "ａｂｃ"),
        ("，。！？（）：；～", True, True, "，。！？（）：；～"),
        ("İstanbul Apple", True, True, "İstanbul apple"),
        ("ΟΔΟΣ ΣΑΣ", True, True, "οδοσ σασ"),
        ("\N{DESERET CAPITAL LETTER LONG I}😀𠮷", True, True, "\N{DESERET SMALL LETTER LONG I}😀𠮷"),
        ("", True, True, ""),
    ],
)
def test_width_and_case_are_normalised(text, half_width, lowercase, expected):
    assert normalise(text, half_width=half_width, lowercase=lowercase) == expected


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("馬雲在杭州阿里巴巴總部發表演講", "马云在杭州阿里巴巴总部发表演讲"),
        ("臺灣 裏面 裡面 頭髮", "台湾 里面 里面 头发"),
        ("乾隆年间的哪吒、赵孟頫", "乾隆年间的哪吒、赵孟頫"),
        ("著名的后羿、皇后、干净", "著名的后羿、皇后、干净"),
        ("😀𠮷かな", "😀𠮷かな"),
    ],
)
def test_traditional_characters_are_folded_and_simplified_text_is_not_changed(text, folded):
    options = {"half_width": False, "lowercase": False}
    assert normalise(text, **options, fold_traditional=True) == folded
    assert normalise(text, **options) == text


def test_folding_table_ends_in_characters_that_are_not_folded():
    table = _simplified_forms()
    assert len(table) > 3000
    assert not [simplified for simplified in table.values() if ord(simplified) in table]


def test_the_table_contains_every_capital_of_unicode():
    beyond = range(max(_lower_forms()) + 1, sys.maxunicode + 1)
    assert not [point for point in beyond if chr(point).lower() != chr(point)]
