"""Reliability curves, calibration error, and the score for a wanted precision: do scores mean what they say? No I/O.

See Guo et al. 2017, "On Calibration of Modern Neural Networks".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

EDGES = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
"""Limits of the intervals of a reliability curve; most entities have high scores."""
PRECISION = 0.95
"""The precision for which `threshold` is documented."""


class ScoredEntity(NamedTuple):
    """A predicted entity: its type, its score from 0 to 1, and whether it is correct."""

    type: str
    score: float
    correct: bool


@dataclass(frozen=True, slots=True)
class Interval:
    """The entities whose scores lie from `low` up to `high`, which is included in the last one only.

    Attributes:
        low: lower limit of the scores.
        high: upper limit of the scores.
        count: number of entities.
        score: mean score.
        precision: share of the entities that are correct.
    """

    low: float
    high: float
    count: int
    score: float
    precision: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """The lowest score from which on the wanted precision is reached.

    Attributes:
        min_score: the score.
        precision: share of the entities with at least this score that are correct.
        kept: share of all correct entities that have at least this score.
    """

    min_score: float
    precision: float
    kept: float


def curve(entities: Sequence[ScoredEntity], edges: Sequence[float] = EDGES) -> list[Interval]:
    """Return the intervals that have entities, from low to high scores."""
    intervals = []
    for low, high in pairwise(edges):
        inside = [e for e in entities if low <= e.score < high or e.score == high == edges[-1]]
        if inside:
            mean = sum(e.score for e in inside) / len(inside)
            intervals.append(Interval(low, high, len(inside), mean, _precision(inside)))
    return intervals


def calibration_error(entities: Sequence[ScoredEntity], edges: Sequence[float] = EDGES) -> float:
    """Return the mean distance of score and precision over the intervals, weighted by their entities."""
    distances = (part.count * abs(part.score - part.precision) for part in curve(entities, edges))
    return sum(distances) / len(entities) if entities else 0.0


def threshold(entities: Sequence[ScoredEntity], precision: float = PRECISION) -> Threshold | None:
    """Return the lowest score from which on the entities have a precision, None if no score has it."""
    ordered = sorted(entities, key=lambda e: -e.score)
    total = sum(e.correct for e in ordered)
    best, correct = None, 0
    for number, entity in enumerate(ordered, start=1):
        correct += entity.correct
        last_of_its_score = number == len(ordered) or ordered[number].score < entity.score
        if last_of_its_score and correct and correct / number >= precision:
            best = Threshold(entity.score, correct / number, correct / total)
    return best


def summarise(entities: Sequence[ScoredEntity]) -> dict[str, Any]:
    """Return the curve of all entities, and the calibration error and the threshold by type and of all, for JSON."""
    points = [
        {"scores": [part.low, part.high], "entities": part.count, "mean_score": round(part.score, 4)}
        | {"precision": round(part.precision, 4)}
        for part in curve(entities)
    ]
    groups = {kind: of_type(entities, kind) for kind in sorted({e.type for e in entities})}
    return {"curve": points, "all": _figures(entities), "types": {kind: _figures(es) for kind, es in groups.items()}}


def of_type(entities: Sequence[ScoredEntity], kind: str) -> list[ScoredEntity]:
    """Return the entities of one type."""
    return [e for e in entities if e.type == kind]


def _figures(entities: Sequence[ScoredEntity]) -> dict[str, Any]:
    found = threshold(entities)
    limit = {} if found is None else {"min_score": round(found.min_score, 4), "kept": round(found.kept, 4)}
    return {"calibration_error": round(calibration_error(entities), 4), "precision": PRECISION, **limit}


def _precision(entities: Sequence[ScoredEntity]) -> float:
    return sum(e.correct for e in entities) / len(entities)
