"""Terms are found at word boundaries, the longest first, folded like the model, and override its entities."""

import mmap
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner.results import Entity
from hanner_inference.dictionary.compiled_file import compile_terms
from hanner_inference.dictionary.matcher import Match, Matcher
from hanner_inference.dictionary.parser import NOT_ENTITY, Folding, Terms, parse

FOLDED = Folding(lowercase=True, half_width=True)
PLAIN = Folding(lowercase=False, half_width=False)


def matcher(terms, folding=FOLDED):
    lines = "".join(f"{term}\t{kind}\n" for term, kind in terms.items())
    return opened(parse(lines.encode(), "terms.tsv", folding), folding)


def opened(terms, folding):
    content = compile_terms(terms, "digest", folding)
    data = mmap.mmap(-1, len(content))
    data.write(content)
    return Matcher(data)


def found(text, terms, folding=FOLDED):
    return [(text[m.start : m.end], m.type) for m in matcher(terms, folding).find(text)]


def test_the_longest_term_wins_from_left_to_right():
    terms = {"北京": "LOC", "北京大学": "ORG", "大学生": "ROLE", "学生": "ROLE"}
    assert found("北京大学生在北京", terms) == [("北京大学", "ORG"), ("北京", "LOC")]


def test_case_and_width_are_folded_like_the_model_and_offsets_match():
    text = "😀在ＩＢＭ和ibm"
    assert matcher({"IBM": "ORG"}).find(text) == [Match(2, 5, "ORG"), Match(6, 9, "ORG")]
    assert found("在IBM和ibm", {"IBM": "ORG"}, PLAIN) == [("IBM", "ORG")]


@pytest.mark.parametrize("text", ["IBMs", "xIBM", "IBM2", "2IBM", "_IBM", "ＩＢＭｓ", "IBM\u0301", "éIBM", "ИIBM"])
def test_a_latin_term_is_not_found_inside_a_longer_word(text):
    assert found(text, {"IBM": "ORG"}) == []


@pytest.mark.parametrize("text", ["IBM", "在IBM工作", "IBM公司", "(IBM)", "IBM-2", "ＩＢＭ，", "IBM😀", "IBM한국"])
def test_a_latin_term_is_found_next_to_any_other_character(text):
    assert len(found(text, {"IBM": "ORG"})) == 1


def test_a_shorter_term_is_used_if_the_longer_one_ends_inside_a_word():
    terms = {"iPhone": "GOODS", "iPhone 1": "GOODS"}
    assert found("iPhone 15", terms) == [("iPhone", "GOODS")]


def test_terms_of_mixed_scripts_end_at_chinese_characters():
    assert found("A股和CA股，5G网，15G网", {"A股": "X", "5G": "Y"}) == [("A股", "X"), ("5G", "Y")]


def test_an_empty_dictionary_finds_nothing():
    assert found("马云", {}) == []


CHARACTERS = "马云在杭ab1ＡＢ1 _\0\u0301[]^-\\😀"
words = st.text(st.sampled_from(CHARACTERS.replace("\0", "")), min_size=1, max_size=5)


def is_word(text, position):
    def part(c):
        return c in "ab1_\u0301"

    return 0 < position < len(text) and part(text[position - 1]) and part(text[position])


def reference_matches(text, codes):
    text, position, spans = FOLDED(text), 0, []
    while position < len(text):
        ends = [
            position + len(t) for t in codes if text.startswith(t, position) and not is_word(text, position + len(t))
        ]
        if ends and not is_word(text, position):
            spans.append((position, max(ends)))
            position = max(ends)
        else:
            position += 1
    return spans


@given(st.lists(words, max_size=8), st.text(st.sampled_from(CHARACTERS), max_size=30))
def test_matches_equal_a_search_for_each_term(terms, text):
    codes = dict.fromkeys(map(FOLDED, terms), 1)
    matches = opened(Terms(codes, (NOT_ENTITY, "X")), FOLDED).find(text)
    assert [(m.start, m.end) for m in matches] == reference_matches(text, codes)


def entity(text, kind, start, end):
    return Entity(text=text[start:end], type=kind, start=start, end=end, score=0.5)


def applied(text, terms, *entities):
    found = matcher(terms).apply(text, [entity(text, *each) for each in entities])
    return [(e.text, e.type, e.start, e.score) for e in found]


TEXT = "李明在北京大学图书馆"


def test_a_term_replaces_overlapping_entities():
    terms = {"北京大学图书馆": "ORG"}
    kept = ("李明", "PER", 0, 0.5)
    assert applied(TEXT, terms, ("PER", 0, 2), ("ORG", 3, 7)) == [kept, ("北京大学图书馆", "ORG", 3, 1.0)]
    assert applied(TEXT, {"大学": "X"}, ("PER", 0, 2), ("ORG", 3, 7)) == [kept, ("大学", "X", 5, 1.0)]


def test_a_non_entity_term_removes_only_overlapping_entities():
    assert applied(TEXT, {"北京大学": NOT_ENTITY}, ("PER", 0, 2), ("ORG", 3, 7), ("ORG", 7, 10)) == [
        ("李明", "PER", 0, 0.5),
        ("图书馆", "ORG", 7, 0.5),
    ]


def test_a_text_without_terms_keeps_the_entities_of_the_model():
    model = [entity(TEXT, "PER", 0, 2)]
    assert matcher({"上海": "LOC"}).apply(TEXT, model) is model


@given(st.data())
def test_entities_never_overlap_and_are_in_order(data):
    text = data.draw(st.text(st.sampled_from(CHARACTERS), max_size=30))
    terms = data.draw(st.lists(words, max_size=5))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    model = [entity(text, "M", *pair) for pair in zip(cuts[::2], cuts[1::2], strict=False)]
    codes = {FOLDED(term): number % 2 for number, term in enumerate(terms)}
    one = opened(Terms(codes, (NOT_ENTITY, "X")), FOLDED)
    result = one.apply(text, model)
    assert all(e.text == text[e.start : e.end] for e in result)
    assert all(a.end <= b.start for a, b in pairwise(result))
    spans = [(m.start, m.end) for m in one.find(text)]
    assert {e.start for e in result if e.type == "M"} == {
        e.start for e in model if all(e.end <= start or end <= e.start for start, end in spans)
    }
