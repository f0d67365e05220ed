"""From label scores to spans of tokens, and from those to entities in the text. Pure."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nerq.contract import Entity
from nerq_worker.decode.crf import Crf, Ints
from nerq_worker.decode.labels import Labels
from nerq_worker.text.tokens import Tokens
from nerq_worker.text.windows import Window

SCORE_DIGITS = 6
"""Scores are rounded to this many decimals: more would be noise, and costs bytes in every result."""


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens [start, end) are one entity, with this probability."""

    start: int
    end: int
    type: str
    score: float


def decode(emissions: NDArray[np.float32], lengths: Ints, crf: Crf, labels: Labels) -> list[list[Span]]:
    """Return the spans of each row, in order and never overlapping.

    Args:
        emissions: float32 [rows, time, labels], scores of each token without the special ones.
        lengths: int [rows], tokens of each row, 1 to time; what stands past them is never read.
        crf: weights.
        labels: what the labels mean.
    """
    paths = crf.best_paths(emissions, lengths)
    rows, starts, ends = span_bounds(paths, labels)
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
                merged.append(replace(span, start=start, end=end))
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
