"""Windows cover the text, and an entity is found once and whole wherever it stands."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner_inference.decoding.spans import Span, merge
from hanner_inference.tokenization.windows import cut, sentence_ends


@st.composite
def cuts(draw):
    overlap = draw(st.integers(0, 12))
    size = draw(st.integers(2 * overlap + 1, 2 * overlap + 40))
    closes = np.array(draw(st.lists(st.booleans(), max_size=200)), dtype=np.bool_)
    return closes, size, overlap


@given(cuts())
def test_what_windows_own_is_the_text_once(case):
    closes, size, overlap = case
    windows = cut(closes, size=size, overlap=overlap)
    assert [token for window in windows for token in range(window.own_start, window.own_end)] == list(
        range(len(closes))
    )
    for window in windows:
        assert 0 <= window.start <= window.own_start < window.own_end <= window.end <= len(closes)
        assert len(window) <= size
        assert window.own_start - window.start == min(overlap, window.own_start)
        assert window.end - window.own_end == min(overlap, len(closes) - window.own_end)


@given(cuts(), st.data())
def test_an_entity_no_longer_than_the_overlap_is_found_once_and_whole(case, data):
    closes, size, overlap = case
    count = len(closes)
    entities, reached = [], 0
    while reached < count:
        start = data.draw(st.integers(reached, count - 1))
        reached = data.draw(st.integers(start + 1, max(start + 1, min(count, start + overlap))))
        entities.append(Span(start, reached, "PER", 1.0))
    windows = cut(closes, size=size, overlap=overlap)
    seen = [
        [
            Span(entity.start - window.start, entity.end - window.start, entity.type, entity.score)
            for entity in entities
            if window.start <= entity.start and entity.end <= window.end
        ]
        for window in windows
    ]
    assert merge(windows, seen) == entities


@given(cuts(), st.data())
def test_whatever_windows_disagree_on_nothing_overlaps(case, data):
    closes, size, overlap = case
    windows = cut(closes, size=size, overlap=overlap)
    found = []
    for window in windows:
        edges = sorted(data.draw(st.sets(st.integers(0, len(window)), max_size=8)))
        found.append([Span(a, b, "LOC", 0.5) for a, b in itertools.pairwise(edges)])
    merged = merge(windows, found)
    assert all(a.end <= b.start for a, b in itertools.pairwise(merged))


def test_an_entity_belongs_to_the_window_that_owns_its_first_token():
    left, right = cut(np.zeros(16, dtype=np.bool_), size=12, overlap=4)
    assert (left.own_end, right.start, right.own_start) == (8, 4, 8)
    whole, rest = Span(6, 10, "ORG", 0.9), Span(8 - 4, 10 - 4, "LOC", 0.8)
    assert merge([left, right], [[whole], [rest]]) == [whole]  # the owner's word against a piece of it
    assert merge([left, right], [[], [Span(1, 3, "PER", 0.9)]]) == []  # its owner saw nothing there
    assert merge([left, right], [[Span(8, 9, "PER", 0.9)], [rest]]) == [Span(8, 10, "LOC", 0.8)]


def test_parts_at_the_last_sentence_end_it_can():
    closes = np.zeros(300, dtype=np.bool_)
    closes[[20, 70, 80, 99]] = True
    first, second, *_ = cut(closes, size=100, overlap=10)
    assert (first.start, first.own_end, first.end) == (0, 81, 91)
    assert (second.start, second.own_start) == (71, 81)


def test_an_overlap_that_leaves_nothing_to_own_is_refused():
    with pytest.raises(ValueError, match="20 tokens cannot overlap by 10"):
        cut(np.zeros(50, dtype=np.bool_), size=20, overlap=10)


@pytest.mark.parametrize(
    "sentences",
    [
        ["他说：“好。”", "然后走了！？", "完"],
        ["第一行\n", "第二行\r\n\n", "第三行"],
        ["真的……", "是吗?) ", "3.14 U.S. ", "end. ", "go"],
        ["甲；", "乙"],
        ["没有句号"],
    ],
)
def test_sentences_end_after_their_closing_quotes(sentences):
    text = "".join(sentences)
    starts = np.array([index for index, character in enumerate(text) if not character.isspace()])
    closes = sentence_ends(text, starts)
    parts, part = [], ""
    for index, character in enumerate(text):
        part += character
        token = np.flatnonzero(starts <= index)[-1]
        following = np.append(starts, len(text))[token + 1]
        if closes[token] and index + 1 == following:
            parts.append(part)
            part = ""
    assert [*parts, part] == sentences if part else parts == sentences
