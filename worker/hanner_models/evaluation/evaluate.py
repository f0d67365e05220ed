"""Evaluate a recogniser on labelled sentences: precision, recall, F1, errors, texts per second. Does not import torch.

An entity is correct when type, start and end all agree, as in conlleval. Errors are classified as in MUC-5 and
SemEval-2013 task 9, see error_analysis.py. An entity is seen when the training files contain the same name with the
same type. Seen and unseen entities are counted separately, because unseen ones cannot be memorised (Augenstein et al.
2017).
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from hanner.results import Entity
from hanner_inference.tokenization.normalise import normalise
from hanner_models.data.datasets import Sentence, Span
from hanner_models.evaluation.error_analysis import ErrorCounts
from hanner_models.evaluation.reliability import ScoredEntity, summarise

Extract = Callable[[Sequence[str]], Sequence[Sequence[Entity]]]
Name = tuple[str, str]
"""An entity type and a normalised name."""
DIGITS = 4


@dataclass(slots=True)
class Counts:
    """Numbers of gold entities, of predicted ones, and of predicted ones that are correct."""

    gold: int = 0
    predicted: int = 0
    correct: int = 0

    @property
    def precision(self) -> float:
        """Share of the predicted entities that are correct."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold entities that were predicted."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.gold + self.predicted
        return 2 * self.correct / total if total else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return shares and counts for JSON."""
        shares = {name: round(getattr(self, name), DIGITS) for name in ("precision", "recall", "f1")}
        return {**shares, "names": self.gold, "found": self.predicted, "correct": self.correct}


@dataclass(slots=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        known: names in the training files; None if seen and unseen entities are not distinguished.
        total: counts of all entities.
        types: counts by type.
        seen: counts of entities whose names are known; a predicted entity counts by its own text.
        unseen: counts of the others.
        errors: counts by kind of error.
        scored: the predicted entities with their scores, in the order of the texts.
        texts: number of texts.
        characters: number of characters in them.
        seconds: time spent in the recogniser.
    """

    known: Collection[Name] | None = None
    total: Counts = field(default_factory=Counts)
    types: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    seen: Counts = field(default_factory=Counts)
    unseen: Counts = field(default_factory=Counts)
    errors: ErrorCounts = field(default_factory=ErrorCounts)
    scored: list[ScoredEntity] = field(default_factory=list)
    texts: int = 0
    characters: int = 0
    seconds: float = 0.0

    def count(self, sentences: Sequence[Sentence], found: Sequence[Sequence[Entity]]) -> None:
        """Compare predicted entities with labelled sentences and add the counts."""
        for sentence, entities in zip(sentences, found, strict=True):
            gold, predicted = set(sentence.spans), {Span(e.type, e.start, e.end) for e in entities}
            self._add(sentence.text, gold, predicted)
            self.errors.add(gold, predicted)
            self.scored += [ScoredEntity(e.type, e.score, Span(e.type, e.start, e.end) in gold) for e in entities]
        self.texts += len(sentences)
        self.characters += sum(len(sentence.text) for sentence in sentences)

    def to_dict(self) -> dict[str, Any]:
        """Return all counts for JSON."""
        seen = {"seen": self.seen.to_dict(), "unseen": self.unseen.to_dict()} if self.known is not None else {}
        return {
            "texts": self.texts,
            "characters": self.characters,
            "texts_per_second": round(self.texts / self.seconds, 1) if self.seconds else None,
            "characters_per_second": round(self.characters / self.seconds) if self.seconds else None,
            "all": self.total.to_dict(),
            "types": {kind: counts.to_dict() for kind, counts in sorted(self.types.items())},
            **seen,
            "errors": self.errors.to_dict(),
            "reliability": summarise(self.scored),
        }

    def _add(self, text: str, gold: set[Span], predicted: set[Span]) -> None:
        for found, counter in ((gold, "gold"), (predicted, "predicted"), (gold & predicted, "correct")):
            for span in found:
                groups = [self.total, self.types[span.type]]
                if self.known is not None:
                    groups.append(self.seen if name_key(text, span) in self.known else self.unseen)
                for counts in groups:
                    setattr(counts, counter, getattr(counts, counter) + 1)


def name_key(text: str, span: Span) -> Name:
    """Return the type and the normalised name of a span, for comparison with `Evaluation.known`."""
    return span.type, normalise(text[span.start : span.end], half_width=True, lowercase=True)


def known_names(sentences: Iterable[Sentence]) -> set[Name]:
    """Return the names in training sentences, for `Evaluation.known`."""
    return {name_key(sentence.text, span) for sentence in sentences for span in sentence.spans}


def evaluate(
    extract: Extract,
    sentences: Sequence[Sentence],
    *,
    known: Collection[Name] | None = None,
    batch_size: int = 512,
    progress: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Run `extract` on all sentences, `batch_size` at a time, and return the comparison.

    Args:
        extract: returns the entities of each text.
        sentences: the labelled sentences.
        known: names in the training files, if seen and unseen entities are to be distinguished.
        batch_size: texts per call of `extract`.
        progress: called after each batch with the number of its texts.
    """
    result = Evaluation(known)
    for begin in range(0, len(sentences), batch_size):
        part = sentences[begin : begin + batch_size]
        started = perf_counter()
        found = extract([sentence.text for sentence in part])
        result.seconds += perf_counter() - started
        result.count(part, found)
        progress(len(part))
    return result


def score(sentences: Sequence[Sentence], found: Sequence[Sequence[Entity]]) -> Evaluation:
    """Return the comparison of entities that were extracted earlier."""
    result = Evaluation()
    result.count(sentences, found)
    return result


def agreement(one: Iterable[Sequence[Entity]], other: Iterable[Sequence[Entity]]) -> float:
    """Return the share of texts for which both results have the same entities."""
    same = [
        [(e.type, e.start, e.end) for e in a] == [(e.type, e.start, e.end) for e in b]
        for a, b in zip(one, other, strict=True)
    ]
    return sum(same) / len(same) if same else 1.0
