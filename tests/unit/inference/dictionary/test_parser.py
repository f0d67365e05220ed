"""What a dictionary's lines may say, and the sentence for each that cannot be used."""

import pytest

from hanner_inference.dictionary.parser import NOTHING, DictionaryError, Fold, parse

PLAIN = Fold(lowercase=False, half_width=False)
FOLDED = Fold(lowercase=True, half_width=True)


def read(text, fold=PLAIN):
    terms = parse(text.encode(), "terms.tsv", fold)
    return {term: terms.types[code] for term, code in terms.codes.items()}


def test_terms_types_and_what_is_no_entity():
    assert read("马云\tPER\n长城\t-\n新 产品\t产品\n") == {"马云": "PER", "长城": NOTHING, "新 产品": "产品"}


def test_blank_lines_comments_and_blanks_around_count_for_nothing():
    assert read("\ufeff# 我们的词\r\n\r\n  马云 \t PER \r\n#话题\tTOPIC") == {"马云": "PER", "#话题": "TOPIC"}


def test_an_empty_file_is_a_dictionary_without_terms():
    assert read("") == {}


def test_terms_are_folded_as_the_model_folds_texts():
    assert read("ＩＢＭ\tORG\niPhone １５\tGOODS\n", FOLDED) == {"ibm": "ORG", "iphone 15": "GOODS"}


def test_a_term_may_be_said_twice_the_same_way():
    assert read("IBM\tORG\nibm\tORG\n", FOLDED) == {"ibm": "ORG"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("马云\tPER\n杭州 LOC\n", r"line 2 of the dictionary terms\.tsv has no TAB"),
        ("\n\tPER", "line 2 .* has no term before its TAB"),
        ("马\0云\tPER", "line 1 .* has a NUL character"),
        ("马云\t", "line 1 .* has no type"),
        ("马云\tPER\t3", "line 1 .* without blanks"),
        ("马云\tA PER", "line 1 .* without blanks"),
        ("马云\t" + "P" * 65, "line 1 .* has no type of 1 to 64 characters"),
        ("云" * 257 + "\tPER", "line 1 .* a term of 257 characters; at most 256"),
        ("马云\tPER\n\n马云\tORG", "line 3 .* says ORG of a term of which line 1 says PER"),
        ("马云\t-\n马云\tORG", "line 2 .* says ORG of a term of which line 1 says -"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(text, said):
    with pytest.raises(DictionaryError, match=said):
        read(text)


def test_terms_that_are_one_when_folded_must_agree():
    with pytest.raises(DictionaryError, match=r"line 2 .* says MISC of a term of which line 1 says ORG"):
        read("IBM\tORG\nＩbm\tMISC", FOLDED)


def test_what_is_no_utf8_is_named_by_its_line():
    with pytest.raises(DictionaryError, match=r"line 2 of the dictionary terms\.tsv is not UTF-8"):
        parse("马云\tPER\n".encode() + "杭州\tLOC\n".encode("gbk"), "terms.tsv", PLAIN)
