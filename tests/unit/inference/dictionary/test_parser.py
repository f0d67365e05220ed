"""The format of a dictionary, and the error for each kind of invalid line."""

import pytest

from hanner_inference.dictionary.parser import NOT_ENTITY, DictionaryError, Folding, parse

PLAIN = Folding(lowercase=False, half_width=False)
FOLDED = Folding(lowercase=True, half_width=True)


def read(text, folding=PLAIN):
    terms = parse(text.encode(), "terms.tsv", folding)
    return {term: terms.types[code] for term, code in terms.codes.items()}


def test_terms_types_and_non_entities():
    assert read("马云\tPER\n长城\t-\n新 产品\t产品\n") == {"马云": "PER", "长城": NOT_ENTITY, "新 产品": "产品"}


def test_blank_lines_comments_and_surrounding_whitespace_are_ignored():
    assert read("\ufeff# 我们的词\r\n\r\n  马云 \t PER \r\n#话题\tTOPIC") == {"马云": "PER", "#话题": "TOPIC"}


def test_an_empty_file_is_a_dictionary_without_terms():
    assert read("") == {}


def test_terms_are_folded_like_texts():
    assert read("ＩＢＭ\tORG\niPhone １５\tGOODS\n", FOLDED) == {"ibm": "ORG", "iphone 15": "GOODS"}


def test_a_term_may_be_repeated_with_the_same_type():
    assert read("IBM\tORG\nibm\tORG\n", FOLDED) == {"ibm": "ORG"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("马云\tPER\n杭州 LOC\n", r"line 2 of the dictionary terms\.tsv has no TAB"),
        ("\n\tPER", "line 2 .* has no term before its TAB"),
        ("马\0云\tPER", "line 1 .* has a NUL character"),
        ("马云\t", "line 1 .* has no valid type"),
        ("马云\tPER\t3", "line 1 .* without spaces"),
        ("马云\tA PER", "line 1 .* without spaces"),
        ("马云\t" + "P" * 65, "line 1 .* write 1 to 64 characters"),
        ("云" * 257 + "\tPER", "line 1 .* a term of 257 characters; at most 256"),
        ("马云\tPER\n\n马云\tORG", "line 3 .* has type ORG, but line 1 has the same term with type PER"),
        ("马云\t-\n马云\tORG", "line 2 .* has type ORG, but line 1 has the same term with type -"),
    ],
)
def test_an_invalid_line_is_reported_with_its_number(text, message):
    with pytest.raises(DictionaryError, match=message):
        read(text)


def test_terms_that_are_equal_after_folding_must_have_the_same_type():
    with pytest.raises(DictionaryError, match=r"line 2 .* has type MISC, but line 1 has the same term with type ORG"):
        read("IBM\tORG\nＩbm\tMISC", FOLDED)


def test_a_line_that_is_not_utf8_is_reported_with_its_number():
    with pytest.raises(DictionaryError, match=r"line 2 of the dictionary terms\.tsv is not UTF-8"):
        parse("马云\tPER\n".encode() + "杭州\tLOC\n".encode("gbk"), "terms.tsv", PLAIN)
