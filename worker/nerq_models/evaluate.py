"""Measures a recogniser on labelled sentences: precision, recall, F1 by type, texts per second. Imports no torch.

A name counts as found when type, start and end all agree, as in conlleval.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from nerq.contract import Entity
from nerq_models.labelled import Sentence

Extract = Callable[[Sequence[str]], Sequence[Sequence[Entity]]]


@dataclass(slots=True)
class Counts:
    """How many names there are, how many were predicted, and how many of those are right."""

    gold: int = 0
    predicted: int = 0
    correct: int = 0

    @property
    def precision(self) -> float:
        """Share of the predicted names that are right."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the names that were found."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.gold + self.predicted
        return 2 * self.correct / total if total else 0.0


@dataclass(slots=True)
class Evaluation:
    """What an evaluation found; `seconds` is the time spent in the recogniser."""

    total: Counts = field(default_factory=Counts)
    types: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    texts: int = 0
    characters: int = 0
    seconds: float = 0.0

    def count(self, sentences: Sequence[Sentence], found: Sequence[Sequence[Entity]]) -> None:
        """Count what was found in some sentences."""
        for sentence, entities in zip(sentences, found, strict=True):
            gold = {(span.type, span.start, span.end) for span in sentence.spans}
            self._add(gold, {(e.type, e.start, e.end) for e in entities})
        self.texts += len(sentences)
        self.characters += sum(len(sentence.text) for sentence in sentences)

    def _add(self, gold: set[tuple[str, int, int]], predicted: set[tuple[str, int, int]]) -> None:
        for found, counter in ((gold, "gold"), (predicted, "predicted"), (gold & predicted, "correct")):
            for kind, _, _ in found:
                for counts in (self.total, self.types[kind]):
                    setattr(counts, counter, getattr(counts, counter) + 1)


def evaluate(
    extract: Extract,
    sentences: Sequence[Sentence],
    *,
    chunk: int = 512,
    progress: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Run `extract` over all sentences, `chunk` at a time, and compare.

    Args:
        extract: texts to entities.
        sentences: labelled.
        chunk: texts handed over at once.
        progress: called with the number of texts done after each chunk.
    """
    result = Evaluation()
    for begin in range(0, len(sentences), chunk):
        part = sentences[begin : begin + chunk]
        started = perf_counter()
        found = extract([sentence.text for sentence in part])
        result.seconds += perf_counter() - started
        result.count(part, found)
        progress(len(part))
    return result


def score(sentences: Sequence[Sentence], found: Sequence[Sequence[Entity]]) -> Evaluation:
    """Compare answers that are there already."""
    result = Evaluation()
    result.count(sentences, found)
    return result


def agreement(one: Iterable[Sequence[Entity]], other: Iterable[Sequence[Entity]]) -> float:
    """Return the share of the texts for which both found the same entities."""
    same = [
        [(e.type, e.start, e.end) for e in a] == [(e.type, e.start, e.end) for e in b]
        for a, b in zip(one, other, strict=True)
    ]
    return sum(same) / len(same) if same else 1.0
