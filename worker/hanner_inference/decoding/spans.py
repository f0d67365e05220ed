"""From label scores to spans of tokens, and from those to entities in the text. Pure.

A path that keeps to its scheme has one reading. One that breaks it, as untrained CRFs like to, is read in the manner
that the manifest names: `conll` as conlleval does, where a label that cannot go on with the entity before it begins one
of its own, or `modelscope` as ModelScope's pipeline does, see `modelscope_bounds`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hanner.contract import Entity
from hanner_inference.decoding.crf import Crf, Ints
from hanner_inference.decoding.labels import Labels
from hanner_inference.tokenization.tokens import Tokens
from hanner_inference.tokenization.windows import Window

SCORE_DIGITS = 6
"""Scores are rounded to this many decimals: more would be noise, and costs bytes in every result."""


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens [start, end) are one entity, with this probability."""

    start: int
    end: int
    type: str
    score: float


Reading = Literal["conll", "modelscope"]


def decode(
    emissions: NDArray[np.float32], lengths: Ints, crf: Crf, labels: Labels, reading: Reading = "conll"
) -> list[list[Span]]:
    """Return the spans of each row, in order and never overlapping.

    Args:
        emissions: float32 [rows, time, labels], scores of each labelled token.
        lengths: int [rows], labelled tokens of each row, 1 to time; what stands past them is never read.
        crf: weights.
        labels: what the labels mean.
        reading: what to make of paths that break the scheme.
    """
    paths = crf.best_paths(emissions, lengths)
    rows, starts, ends = (modelscope_bounds if reading == "modelscope" else span_bounds)(paths, labels)
    found: list[list[Span]] = [[] for _ in range(len(emissions))]
    if len(rows):
        scores = crf.span_posteriors(
            emissions, lengths, paths, span_rows=rows, starts=starts, ends=ends, continues=labels.continues
        )
        kinds = paths[rows, starts]
        for row, start, end, kind, score in zip(
            rows.tolist(), starts.tolist(), ends.tolist(), kinds.tolist(), scores.tolist(), strict=True
        ):
            found[row].append(Span(start, end, labels.types[kind] or "", score))
    return found


def span_bounds(paths: Ints, labels: Labels) -> tuple[Ints, Ints, Ints]:
    """Return row, start and end of every span in label paths [rows, time], -1 past a row's length; in order."""
    inside = labels.inside[paths] & (paths >= 0)
    goes_on = np.zeros((paths.shape[0], paths.shape[1] + 1), dtype=np.bool_)  # [:, t]: t goes on with t - 1's entity
    goes_on[:, 1:-1] = labels.continues[paths[:, :-1], paths[:, 1:]] & inside[:, :-1] & inside[:, 1:]
    rows, starts = np.nonzero(inside & ~goes_on[:, :-1])
    _, lasts = np.nonzero(inside & ~goes_on[:, 1:])
    return rows, starts, lasts + 1


def modelscope_bounds(paths: Ints, labels: Labels) -> tuple[Ints, Ints, Ints]:
    """Return row, start and end of every span as `TokenClassificationPipeline` of modelscope 1.40 reads them.

    Neither O nor another type ends an entity there: the next B or S, an E or the text's end does. I and E go on with
    what is open or begin something; M does neither. On paths that keep to the scheme this is `span_bounds`.
    """
    found: list[tuple[int, int, int]] = []
    for row, path in enumerate(paths):
        start = end = -1
        for place in np.flatnonzero(labels.inside[path] & (path >= 0)).tolist():
            prefix = labels.prefixes[path[place]]
            if prefix == "M":
                continue
            if start >= 0 and prefix in "BS":
                found.append((row, start, end))
            if start < 0 or prefix in "BS":
                start = place
            end = place + 1
            if prefix in "ES":
                found.append((row, start, end))
                start = -1
        if start >= 0:
            found.append((row, start, end))
    rows, starts, ends = np.array(found, dtype=np.int64).reshape(-1, 3).T
    return rows, starts, ends


def gather(scores: NDArray[np.float32], places: list[Ints]) -> tuple[NDArray[np.float32], Ints]:
    """Return the scores at each row's places, moved together, and how many each row has.

    Args:
        scores: float32 [rows, time, labels].
        places: for each row, indices into time.
    """
    counts = np.array([len(own) for own in places], dtype=np.int64)
    taken = np.zeros((len(places), int(counts.max(initial=0)), scores.shape[2]), dtype=np.float32)
    for row, own in enumerate(places):
        taken[row, : len(own)] = scores[row, own]
    return taken, counts


def to_tokens(spans: list[Span], labelled: Ints, window: Window, count: int) -> list[Span]:
    """Turn spans of a window's labelled tokens into spans of its tokens; a span ends where the next word begins.

    Args:
        spans: they count the window's labelled tokens.
        labelled: indices of the text's labelled tokens.
        window: of the text.
        count: tokens of the text.
    """
    first = int(np.searchsorted(labelled, window.start))
    bounds = [*labelled.tolist(), count]
    return [
        Span(bounds[first + span.start] - window.start, bounds[first + span.end] - window.start, span.type, span.score)
        for span in spans
    ]


def merge(windows: list[Window], found: list[list[Span]]) -> list[Span]:
    """Return the spans of the whole text, in order and never overlapping.

    Args:
        windows: the text's, in order.
        found: spans of each window, in order; they count tokens from the window's start.
    """
    merged: list[Span] = []
    reached = 0
    for window, spans in zip(windows, found, strict=True):
        for span in spans:
            start, end = window.start + span.start, window.start + span.end
            if window.own_start <= start < window.own_end and start >= reached:
                merged.append(Span(start, end, span.type, span.score))
                reached = end
    return merged


def to_entities(text: str, tokens: Tokens, spans: list[Span]) -> list[Entity]:
    """Return the entities of `text` for spans of its tokens, in order and never overlapping in its characters."""
    entities: list[Entity] = []
    reached = 0
    for span in spans:
        start, end = int(tokens.starts[span.start]), int(tokens.ends[span.end - 1])
        if start < reached:  # one character can be several tokens, and both sides claim it
            continue
        score = round(span.score, SCORE_DIGITS)
        entities.append(Entity(text=text[start:end], type=span.type, start=start, end=end, score=score))
        reached = end
    return entities
