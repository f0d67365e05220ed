"""Classify errors of a recogniser: wrong types, wrong boundaries, missed and invented entities. No I/O."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hanner_models.data.datasets import Span

MISSED = "-"
"""The key in `confusion` for entities that were not found."""
BOUNDARIES = ("longer", "shorter", "shifted")


@dataclass(slots=True)
class ErrorCounts:
    """Counts of errors by kind.

    Each gold entity counts in exactly one of: correct, wrong type, wrong boundary, wrong type and boundary, missed. It
    is compared with the predicted entity at the same position, otherwise with the one that overlaps it most.

    Attributes:
        correct: type and boundaries agree.
        wrong_type: only the boundaries agree.
        boundary: only the type agrees, and the predicted entity is longer (contains the gold one), shorter (is
            contained in it) or shifted.
        wrong_both: a predicted entity overlaps, but neither type nor boundaries agree.
        missed: no predicted entity overlaps.
        invented: predicted entities that overlap no gold entity.
        confusion: number of gold entities by their type and the predicted type, MISSED if none was predicted.
    """

    correct: int = 0
    wrong_type: int = 0
    boundary: Counter[str] = field(default_factory=Counter)
    wrong_both: int = 0
    missed: int = 0
    invented: int = 0
    confusion: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, gold: Iterable[Span], predicted: Iterable[Span]) -> None:
        """Count the errors of one text."""
        gold, predicted = set(gold), set(predicted)
        for span in gold:
            found = max(predicted, key=lambda other: _match_rank(span, other), default=None)
            if found is not None and not _overlap(span, found):
                found = None
            self.confusion.setdefault(span.type, Counter())[found.type if found else MISSED] += 1
            self._count(span, found)
        self.invented += sum(not any(_overlap(span, other) for other in gold) for span in predicted)

    def _count(self, span: Span, found: Span | None) -> None:
        if found is None:
            self.missed += 1
        elif (found.start, found.end) == (span.start, span.end):
            if found.type == span.type:
                self.correct += 1
            else:
                self.wrong_type += 1
        elif found.type == span.type:
            self.boundary[_boundary(span, found)] += 1
        else:
            self.wrong_both += 1

    def to_dict(self) -> dict[str, Any]:
        """Return all counts for JSON."""
        return {
            "correct": self.correct,
            "wrong_type": self.wrong_type,
            "wrong_boundary": {kind: self.boundary[kind] for kind in BOUNDARIES},
            "wrong_type_and_boundary": self.wrong_both,
            "missed": self.missed,
            "invented": self.invented,
            "confusion": {kind: dict(sorted(found.items())) for kind, found in sorted(self.confusion.items())},
        }


def _match_rank(span: Span, other: Span) -> tuple[bool, int, bool, int, str]:
    """Return the sort key of a candidate: same position first, then largest overlap, same type, earliest start."""
    same = (span.start, span.end) == (other.start, other.end)
    return same, _overlap(span, other), span.type == other.type, -other.start, other.type


def _overlap(one: Span, other: Span) -> int:
    return max(0, min(one.end, other.end) - max(one.start, other.start))


def _boundary(span: Span, found: Span) -> str:
    if found.start <= span.start and found.end >= span.end:
        return "longer"
    return "shorter" if found.start >= span.start and found.end <= span.end else "shifted"
