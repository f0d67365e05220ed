"""Label paths to spans, against a simple reference that reads one token at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner_inference.decoding.labels import Labels
from hanner_inference.decoding.spans import Span, modelscope_bounds, span_bounds, to_entities, to_token_spans
from hanner_inference.tokenization.tokens import Tokens
from hanner_inference.tokenization.windows import Window

BIO = ("O", "B-P", "I-P", "B-L", "I-L")
BIOES = ("O", "B-P", "I-P", "E-P", "S-P", "B-L", "I-L", "E-L", "S-L")
BMES = tuple(name.replace("I-", "M-") for name in BIOES)


def reference_spans(names):
    """Read tags as conlleval does."""
    spans, start, before = [], None, "O"
    for index, name in enumerate([*names, "O"]):
        ends = start is not None and (name == "O" or before[0] in "ES" or name[0] in "BS" or name[2:] != before[2:])
        if ends:
            spans.append((start, index, before[2:]))
            start = None
        if name != "O" and start is None:
            start = index
        before = name
    return spans


@given(st.sampled_from([BIO, BIOES, BMES]), st.data())
def test_spans_equal_the_reference(scheme, data):
    rows = data.draw(
        st.lists(st.lists(st.integers(0, len(scheme) - 1), min_size=1, max_size=12), min_size=1, max_size=5)
    )
    paths = np.full((len(rows), max(map(len, rows))), -1)
    for row, path in enumerate(rows):
        paths[row, : len(path)] = path
    labels = Labels(scheme)
    rows_of_spans, starts, ends = span_bounds(paths, labels)
    for row, path in enumerate(rows):
        mine = rows_of_spans == row
        found = [(int(s), int(e), labels.types[path[s]]) for s, e in zip(starts[mine], ends[mine], strict=True)]
        assert found == reference_spans([scheme[label] for label in path])


@pytest.mark.parametrize(
    ("scheme", "path", "expected"),
    [
        (BIO, ["I-P", "I-P", "O"], [(0, 2, "P")]),
        (BIO, ["B-P", "I-L", "I-L"], [(0, 1, "P"), (1, 3, "L")]),
        (BIO, ["B-P", "B-P", "I-P"], [(0, 1, "P"), (1, 3, "P")]),
        (BIOES, ["B-P", "E-P", "E-P"], [(0, 2, "P"), (2, 3, "P")]),
        (BIOES, ["S-P", "I-P"], [(0, 1, "P"), (1, 2, "P")]),
        (BMES, ["B-L", "M-L", "E-L", "S-L"], [(0, 3, "L"), (3, 4, "L")]),
    ],
)
def test_paths_that_break_the_scheme_are_read_like_conlleval(scheme, path, expected):
    labels = Labels(scheme)
    _, starts, ends = span_bounds(np.array([[scheme.index(name) for name in path]]), labels)
    kinds = [labels.types[scheme.index(path[start])] for start in starts]
    assert [(int(s), int(e), kind) for s, e, kind in zip(starts, ends, kinds, strict=True)] == expected


def test_two_spans_never_share_a_character():
    tokens = Tokens(np.array([1, 2, 3]), np.array([0, 0, 1]), np.array([1, 1, 2]), np.arange(3))
    spans = [Span(0, 1, "PER", 0.9), Span(1, 2, "LOC", 0.8), Span(2, 3, "ORG", 0.7)]
    assert [(e.text, e.type, e.start, e.end) for e in to_entities("ab", tokens, spans)] == [
        ("a", "PER", 0, 1),
        ("b", "ORG", 1, 2),
    ]


BIOES_LABELS = Labels(("O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC"))
BMES_LABELS = Labels(("O", "B-PER", "M-PER", "E-PER", "S-PER"))


def path_of(labels, *names):
    return np.array([[labels.names.index(name) for name in names]])


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        (BIOES_LABELS, ["B-PER", "I-PER", "E-PER", "O", "S-LOC"], [(0, 3), (4, 5)]),
        (BIOES_LABELS, ["B-PER", "O", "I-PER"], [(0, 3)]),
        (BIOES_LABELS, ["B-PER", "I-LOC", "B-LOC"], [(0, 2), (2, 3)]),
        (BIOES_LABELS, ["I-PER", "E-PER", "E-LOC", "I-LOC"], [(0, 2), (2, 3), (3, 4)]),
        (BIOES_LABELS, ["B-PER", "S-LOC", "O", "O"], [(0, 1), (1, 2)]),
        (BIOES_LABELS, ["B-PER", "O", "O"], [(0, 1)]),
        (BMES_LABELS, ["M-PER", "B-PER", "M-PER", "E-PER"], [(1, 4)]),
        (BMES_LABELS, ["B-PER", "M-PER"], [(0, 1)]),
        (BMES_LABELS, ["O", "O"], []),
    ],
)
def test_modelscope_mode_reads_paths_like_modelscope(labels, names, expected):
    rows, starts, ends = modelscope_bounds(path_of(labels, *names), labels)
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == expected
    assert rows.tolist() == [0] * len(expected)


@given(st.lists(st.sampled_from([["O"], ["S-PER"], ["B-LOC", "E-LOC"], ["B-PER", "I-PER", "I-PER", "E-PER"]])))
def test_both_modes_agree_on_paths_that_follow_the_scheme(entities):
    path = path_of(BIOES_LABELS, *(name for entity in entities for name in entity), "O")
    for one, other in zip(modelscope_bounds(path, BIOES_LABELS), span_bounds(path, BIOES_LABELS), strict=True):
        np.testing.assert_array_equal(one, other)


def test_spans_of_labelled_tokens_end_where_the_next_word_starts():
    labelled = np.array([0, 1, 4, 5])  # the token at 1 has two more pieces, the one at 5 has one
    window = Window(1, 6, 1, 6)
    spans = [Span(0, 1, "PER", 0.5), Span(1, 3, "LOC", 0.5)]
    assert [(span.start, span.end) for span in to_token_spans(spans, labelled, window, 7)] == [(0, 3), (3, 6)]
