"""Normalisation maps every code point to exactly one code point."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner_inference.tokenization.normalise import _lower_forms, normalise

any_text = st.text(st.characters(exclude_categories=()))


@given(any_text, st.booleans(), st.booleans())
def test_normalising_never_moves_a_character(text, half_width, lowercase):
    result = normalise(text, half_width=half_width, lowercase=lowercase)
    assert len(result) == len(text)
    assert normalise(result, half_width=half_width, lowercase=lowercase) == result


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


def test_the_table_contains_every_capital_of_unicode():
    beyond = range(max(_lower_forms()) + 1, sys.maxunicode + 1)
    assert not [point for point in beyond if chr(point).lower() != chr(point)]
