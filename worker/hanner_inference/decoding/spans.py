"""From label scores to spans of tokens, and from spans to entities in the text. No I/O.

A label path that follows its tagging scheme has exactly one interpretation. For paths that break the scheme, which
untrained CRFs often produce, the manifest selects a mode: `conll` works like conlleval (a label that cannot continue
the entity before it starts a new one), `modelscope` works like ModelScope's pipeline, see `modelscope_bounds`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hanner.results import Entity
from hanner_inference.decoding.crf import Crf, Ints
from hanner_inference.decoding.labels import Labels
from hanner_inference.decoding.lattice import Lattice
from hanner_inference.tokenization.tokens import Tokens
from hanner_inference.tokenization.windows import Window

SCORE_DIGITS = 6
"""Decimals of a score: more would be noise and cost bytes in every result."""


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens [start, end) are one entity with this probability."""

    start: int
    end: int
    type: str
    score: float


SpanMode = Literal["conll", "modelscope"]


def decode(
    emissions: NDArray[np.float32], lengths: Ints, crf: Crf, labels: Labels, mode: SpanMode = "conll"
) -> list[list[Span]]:
    """Return the spans of each row, in order and without overlaps.

    Args:
        emissions: float32 [rows, time, labels], scores of each labelled token.
        lengths: int [rows], labelled tokens of each row, 1 to time; values beyond them are never read.
        crf: the weights.
        labels: the labels and their scheme.
        mode: how to interpret paths that break the scheme.
    """
    lattice = Lattice(crf, emissions, lengths)
    paths = lattice.best_paths()
    rows, starts, ends = (modelscope_bounds if mode == "modelscope" else span_bounds)(paths, labels)
    spans: list[list[Span]] = [[] for _ in range(len(emissions))]
    if len(rows):
        scores = lattice.span_posteriors(paths, span_rows=rows, starts=starts, ends=ends, continues=labels.continues)
        first_labels = paths[rows, starts]
        for row, start, end, label, score in zip(
            rows.tolist(), starts.tolist(), ends.tolist(), first_labels.tolist(), scores.tolist(), strict=True
        ):
            spans[row].append(Span(start, end, labels.types[label] or "", score))
    return spans


def span_bounds(paths: Ints, labels: Labels) -> tuple[Ints, Ints, Ints]:
    """Return row, start and end of every span, in order, in label paths [rows, time] that are padded with -1."""
    inside = labels.inside[paths] & (paths >= 0)
    continued = np.zeros((paths.shape[0], paths.shape[1] + 1), dtype=np.bool_)  # [:, t]: t continues t - 1's entity
    continued[:, 1:-1] = labels.continues[paths[:, :-1], paths[:, 1:]] & inside[:, :-1] & inside[:, 1:]
    rows, starts = np.nonzero(inside & ~continued[:, :-1])
    _, lasts = np.nonzero(inside & ~continued[:, 1:])
    return rows, starts, lasts + 1


def modelscope_bounds(paths: Ints, labels: Labels) -> tuple[Ints, Ints, Ints]:
    """Return row, start and end of every span, as `TokenClassificationPipeline` of modelscope 1.40 computes them.

    There, O or another type does not end an entity; the next B or S, an E, or the end of the text does. I and E
    continue an open entity or start one; M does neither. For paths that follow the scheme, equals `span_bounds`.
    """
    bounds: list[tuple[int, int, int]] = []
    for row, path in enumerate(paths):
        start = end = -1
        for index in np.flatnonzero(labels.inside[path] & (path >= 0)).tolist():
            prefix = labels.prefixes[path[index]]
            if prefix == "M":
                continue
            if start >= 0 and prefix in "BS":
                bounds.append((row, start, end))
            if start < 0 or prefix in "BS":
                start = index
            end = index + 1
            if prefix in "ES":
                bounds.append((row, start, end))
                start = -1
        if start >= 0:
            bounds.append((row, start, end))
    rows, starts, ends = np.array(bounds, dtype=np.int64).reshape(-1, 3).T
    return rows, starts, ends


def gather(scores: NDArray[np.float32], indices: list[Ints]) -> tuple[NDArray[np.float32], Ints]:
    """Return the scores at each row's indices, moved to the front of the row, and the number of indices per row.

    Args:
        scores: float32 [rows, time, labels].
        indices: for each row, indices into time.
    """
    counts = np.array([len(selected) for selected in indices], dtype=np.int64)
    gathered = np.zeros((len(indices), int(counts.max(initial=0)), scores.shape[2]), dtype=np.float32)
    for row, selected in enumerate(indices):
        gathered[row, : len(selected)] = scores[row, selected]
    return gathered, counts


def to_token_spans(spans: list[Span], labelled: Ints, window: Window, count: int) -> list[Span]:
    """Return spans over a window's tokens for spans over its labelled tokens; a span ends where the next word starts.

    Args:
        spans: spans over the window's labelled tokens.
        labelled: indices of the text's labelled tokens.
        window: the window.
        count: number of tokens of the text.
    """
    first = int(np.searchsorted(labelled, window.start))
    bounds = [*labelled.tolist(), count]
    return [
        Span(bounds[first + span.start] - window.start, bounds[first + span.end] - window.start, span.type, span.score)
        for span in spans
    ]


def merge_windows(windows: list[Window], window_spans: list[list[Span]]) -> list[Span]:
    """Return the spans of the whole text, in order and without overlaps.

    Args:
        windows: the text's windows, in order.
        window_spans: spans of each window, in order, relative to the window's start.
    """
    merged: list[Span] = []
    covered = 0
    for window, spans in zip(windows, window_spans, strict=True):
        for span in spans:
            start, end = window.start + span.start, window.start + span.end
            if window.own_start <= start < window.own_end and start >= covered:
                merged.append(Span(start, end, span.type, span.score))
                covered = end
    return merged


def to_entities(text: str, tokens: Tokens, spans: list[Span]) -> list[Entity]:
    """Return the entities of `text` for spans of its tokens, in order and without overlaps in its characters.

    White space at their ends, which a model that labels characters may include, is removed.
    """
    entities: list[Entity] = []
    covered = 0
    for span in spans:
        start, end = int(tokens.starts[span.start]), int(tokens.ends[span.end - 1])
        start, end = _trim(text, start, end)
        if start < covered or start == end:  # several tokens can share one character
            continue
        score = round(span.score, SCORE_DIGITS)
        entities.append(Entity(text=text[start:end], type=span.type, start=start, end=end, score=score))
        covered = end
    return entities


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the bounds of a slice of `text` without the white space at its ends."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end
