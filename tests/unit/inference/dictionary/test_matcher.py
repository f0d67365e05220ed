"""Terms in texts: the longest, at word ends, as the model folds; and what is left of the model's entities."""

import mmap
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner.contract import Entity
from hanner_inference.dictionary.matcher import Match, Matcher, compiled
from hanner_inference.dictionary.parser import NOTHING, Fold, Terms, parse

FOLD = Fold(lowercase=True, half_width=True)
PLAIN = Fold(lowercase=False, half_width=False)


def matcher(terms, fold=FOLD):
    lines = "".join(f"{term}\t{kind}\n" for term, kind in terms.items())
    return opened(parse(lines.encode(), "terms.tsv", fold), fold)


def opened(terms, fold):
    content = compiled(terms, "digest", fold)
    data = mmap.mmap(-1, len(content))
    data.write(content)
    return Matcher(data)


def found(text, terms, fold=FOLD):
    return [(text[m.start : m.end], m.type) for m in matcher(terms, fold).find(text)]


def test_the_longest_term_wins_from_left_to_right():
    terms = {"北京": "LOC", "北京大学": "ORG", "大学生": "ROLE", "学生": "ROLE"}
    assert found("北京大学生在北京", terms) == [("北京大学", "ORG"), ("北京", "LOC")]


def test_case_and_width_are_folded_where_the_model_does_and_offsets_hold():
    text = "😀在ＩＢＭ和ibm"
    assert matcher({"IBM": "ORG"}).find(text) == [Match(2, 5, "ORG"), Match(6, 9, "ORG")]
    assert found("在IBM和ibm", {"IBM": "ORG"}, PLAIN) == [("IBM", "ORG")]


@pytest.mark.parametrize("text", ["IBMs", "xIBM", "IBM2", "2IBM", "_IBM", "ＩＢＭｓ", "IBM\u0301", "éIBM", "ИIBM"])
def test_a_latin_term_is_not_found_inside_a_longer_word(text):
    assert found(text, {"IBM": "ORG"}) == []


@pytest.mark.parametrize("text", ["IBM", "在IBM工作", "IBM公司", "(IBM)", "IBM-2", "ＩＢＭ，", "IBM😀", "IBM한국"])
def test_a_latin_term_ends_at_anything_else(text):
    assert len(found(text, {"IBM": "ORG"})) == 1


def test_a_shorter_term_that_ends_a_word_is_taken_where_a_longer_one_does_not():
    terms = {"iPhone": "GOODS", "iPhone 1": "GOODS"}
    assert found("iPhone 15", terms) == [("iPhone", "GOODS")]


def test_terms_of_mixed_script_end_where_chinese_begins():
    assert found("A股和CA股，5G网，15G网", {"A股": "X", "5G": "Y"}) == [("A股", "X"), ("5G", "Y")]


def test_no_terms_find_nothing():
    assert found("马云", {}) == []


CHARACTERS = "马云在杭ab1ＡＢ1 _\0\u0301[]^-\\😀"
words = st.text(st.sampled_from(CHARACTERS.replace("\0", "")), min_size=1, max_size=5)


def is_word(text, place):
    def part(c):
        return c in "ab1_\u0301"

    return 0 < place < len(text) and part(text[place - 1]) and part(text[place])


def by_hand(text, codes):
    text, place, spans = FOLD(text), 0, []
    while place < len(text):
        ends = [place + len(t) for t in codes if text.startswith(t, place) and not is_word(text, place + len(t))]
        if ends and not is_word(text, place):
            spans.append((place, max(ends)))
            place = max(ends)
        else:
            place += 1
    return spans


@given(st.lists(words, max_size=8), st.text(st.sampled_from(CHARACTERS), max_size=30))
def test_it_finds_what_looking_for_each_term_finds(terms, text):
    codes = dict.fromkeys(map(FOLD, terms), 1)
    matches = opened(Terms(codes, (NOTHING, "X")), FOLD).find(text)
    assert [(m.start, m.end) for m in matches] == by_hand(text, codes)


def entity(text, kind, start, end):
    return Entity(text=text[start:end], type=kind, start=start, end=end, score=0.5)


def applied(text, terms, *entities):
    found = matcher(terms).apply(text, [entity(text, *each) for each in entities])
    return [(e.text, e.type, e.start, e.score) for e in found]


TEXT = "李明在北京大学图书馆"


def test_a_term_takes_the_place_of_what_it_overlaps():
    terms = {"北京大学图书馆": "ORG"}
    kept = ("李明", "PER", 0, 0.5)
    assert applied(TEXT, terms, ("PER", 0, 2), ("ORG", 3, 7)) == [kept, ("北京大学图书馆", "ORG", 3, 1.0)]
    assert applied(TEXT, {"大学": "X"}, ("PER", 0, 2), ("ORG", 3, 7)) == [kept, ("大学", "X", 5, 1.0)]


def test_a_suppressed_term_leaves_nothing_and_touches_no_neighbour():
    assert applied(TEXT, {"北京大学": NOTHING}, ("PER", 0, 2), ("ORG", 3, 7), ("ORG", 7, 10)) == [
        ("李明", "PER", 0, 0.5),
        ("图书馆", "ORG", 7, 0.5),
    ]


def test_without_a_term_in_it_a_text_is_left_to_the_model():
    model = [entity(TEXT, "PER", 0, 2)]
    assert matcher({"上海": "LOC"}).apply(TEXT, model) is model


@given(st.data())
def test_what_is_left_never_overlaps_and_is_in_order(data):
    text = data.draw(st.text(st.sampled_from(CHARACTERS), max_size=30))
    terms = data.draw(st.lists(words, max_size=5))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    model = [entity(text, "M", *pair) for pair in zip(cuts[::2], cuts[1::2], strict=False)]
    codes = {FOLD(term): number % 2 for number, term in enumerate(terms)}
    one = opened(Terms(codes, (NOTHING, "X")), FOLD)
    result = one.apply(text, model)
    assert all(e.text == text[e.start : e.end] for e in result)
    assert all(a.end <= b.start for a, b in pairwise(result))
    spans = [(m.start, m.end) for m in one.find(text)]
    assert {e.start for e in result if e.type == "M"} == {
        e.start for e in model if all(e.end <= start or end <= e.start for start, end in spans)
    }
