"""Windows cover the text, and every entity is found exactly once, wherever it is."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner_inference.decoding.spans import Span, merge_windows
from hanner_inference.tokenization.windows import find_sentence_ends, split_windows


@st.composite
def window_cases(draw):
    overlap = draw(st.integers(0, 12))
    size = draw(st.integers(2 * overlap + 1, 2 * overlap + 40))
    ends_sentence = np.array(draw(st.lists(st.booleans(), max_size=200)), dtype=np.bool_)
    return ends_sentence, size, overlap


@given(window_cases())
def test_windows_own_every_token_exactly_once(case):
    ends_sentence, size, overlap = case
    windows = split_windows(ends_sentence, size=size, overlap=overlap)
    assert [token for window in windows for token in range(window.own_start, window.own_end)] == list(
        range(len(ends_sentence))
    )
    for window in windows:
        assert 0 <= window.start <= window.own_start < window.own_end <= window.end <= len(ends_sentence)
        assert len(window) <= size
        assert window.own_start - window.start == min(overlap, window.own_start)
        assert window.end - window.own_end == min(overlap, len(ends_sentence) - window.own_end)


@given(window_cases(), st.data())
def test_an_entity_up_to_the_overlap_is_found_exactly_once(case, data):
    ends_sentence, size, overlap = case
    count = len(ends_sentence)
    entities, end = [], 0
    while end < count:
        start = data.draw(st.integers(end, count - 1))
        end = data.draw(st.integers(start + 1, max(start + 1, min(count, start + overlap))))
        entities.append(Span(start, end, "PER", 1.0))
    windows = split_windows(ends_sentence, size=size, overlap=overlap)
    window_spans = [
        [
            Span(entity.start - window.start, entity.end - window.start, entity.type, entity.score)
            for entity in entities
            if window.start <= entity.start and entity.end <= window.end
        ]
        for window in windows
    ]
    assert merge_windows(windows, window_spans) == entities


@given(window_cases(), st.data())
def test_merged_spans_never_overlap(case, data):
    ends_sentence, size, overlap = case
    windows = split_windows(ends_sentence, size=size, overlap=overlap)
    found = []
    for window in windows:
        edges = sorted(data.draw(st.sets(st.integers(0, len(window)), max_size=8)))
        found.append([Span(a, b, "LOC", 0.5) for a, b in itertools.pairwise(edges)])
    merged = merge_windows(windows, found)
    assert all(a.end <= b.start for a, b in itertools.pairwise(merged))


def test_an_entity_belongs_to_the_window_that_owns_its_first_token():
    left, right = split_windows(np.zeros(16, dtype=np.bool_), size=12, overlap=4)
    assert (left.own_end, right.start, right.own_start) == (8, 4, 8)
    whole, rest = Span(6, 10, "ORG", 0.9), Span(8 - 4, 10 - 4, "LOC", 0.8)
    assert merge_windows([left, right], [[whole], [rest]]) == [whole]  # the owner's span wins over a part of it
    assert merge_windows([left, right], [[], [Span(1, 3, "PER", 0.9)]]) == []  # the owner found nothing there
    assert merge_windows([left, right], [[Span(8, 9, "PER", 0.9)], [rest]]) == [Span(8, 10, "LOC", 0.8)]


def test_a_window_ends_at_the_last_possible_sentence_end():
    ends_sentence = np.zeros(300, dtype=np.bool_)
    ends_sentence[[20, 70, 80, 99]] = True
    first, second, *_ = split_windows(ends_sentence, size=100, overlap=10)
    assert (first.start, first.own_end, first.end) == (0, 81, 91)
    assert (second.start, second.own_start) == (71, 81)


def test_an_overlap_that_is_too_large_is_rejected():
    with pytest.raises(ValueError, match="20 tokens cannot overlap by 10"):
        split_windows(np.zeros(50, dtype=np.bool_), size=20, overlap=10)


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
def test_a_sentence_includes_its_closing_quotes(sentences):
    text = "".join(sentences)
    starts = np.array([index for index, character in enumerate(text) if not character.isspace()])
    ends_sentence = find_sentence_ends(text, starts)
    parts, part = [], ""
    for index, character in enumerate(text):
        part += character
        token = np.flatnonzero(starts <= index)[-1]
        following = np.append(starts, len(text))[token + 1]
        if ends_sentence[token] and index + 1 == following:
            parts.append(part)
            part = ""
    assert [*parts, part] == sentences if part else parts == sentences
