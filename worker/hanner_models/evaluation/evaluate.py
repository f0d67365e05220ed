"""Measures a recogniser on labelled sentences: precision, recall, F1, errors, texts per second. Imports no torch.

A name counts as found when type, start and end all agree, as in conlleval. What kind of errors there are is told as in
MUC-5 and SemEval-2013 task 9: see errors.py. Names are seen when the training files have the same name with the same
type, and measured apart: what is not seen cannot be known by heart (Augenstein et al. 2017).
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from hanner.contract import Entity
from hanner_inference.tokenization.normalise import normalise
from hanner_models.data.datasets import Sentence, Span
from hanner_models.evaluation.error_analysis import ErrorCounts

Extract = Callable[[Sequence[str]], Sequence[Sequence[Entity]]]
Name = tuple[str, str]
"""A type and a name of it, normalised."""
DIGITS = 4


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

    def figures(self) -> dict[str, Any]:
        """Return what JSON says of them."""
        shares = {name: round(getattr(self, name), DIGITS) for name in ("precision", "recall", "f1")}
        return {**shares, "names": self.gold, "found": self.predicted, "correct": self.correct}


@dataclass(slots=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        known: names of the training files; None: seen and unseen names are not told apart.
        total: of all names.
        types: by type.
        seen: names that the training files have. What was predicted counts here by its own text.
        unseen: the others.
        errors: what kind of errors there are.
        texts: that were read.
        characters: in them.
        seconds: spent in the recogniser.
    """

    known: Collection[Name] | None = None
    total: Counts = field(default_factory=Counts)
    types: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    seen: Counts = field(default_factory=Counts)
    unseen: Counts = field(default_factory=Counts)
    errors: ErrorCounts = field(default_factory=ErrorCounts)
    texts: int = 0
    characters: int = 0
    seconds: float = 0.0

    def count(self, sentences: Sequence[Sentence], found: Sequence[Sequence[Entity]]) -> None:
        """Count what was found in some sentences."""
        for sentence, entities in zip(sentences, found, strict=True):
            predicted = {Span(e.type, e.start, e.end) for e in entities}
            self._add(sentence.text, set(sentence.spans), predicted)
            self.errors.add(set(sentence.spans), predicted)
        self.texts += len(sentences)
        self.characters += sum(len(sentence.text) for sentence in sentences)

    def figures(self) -> dict[str, Any]:
        """Return what JSON says of it."""
        apart = {"seen": self.seen.figures(), "unseen": self.unseen.figures()} if self.known is not None else {}
        return {
            "texts": self.texts,
            "characters": self.characters,
            "texts_per_second": round(self.texts / self.seconds, 1) if self.seconds else None,
            "characters_per_second": round(self.characters / self.seconds) if self.seconds else None,
            "all": self.total.figures(),
            "types": {kind: counts.figures() for kind, counts in sorted(self.types.items())},
            **apart,
            "errors": self.errors.figures(),
        }

    def _add(self, text: str, gold: set[Span], predicted: set[Span]) -> None:
        for found, counter in ((gold, "gold"), (predicted, "predicted"), (gold & predicted, "correct")):
            for span in found:
                groups = [self.total, self.types[span.type]]
                if self.known is not None:
                    groups.append(self.seen if name_of(text, span) in self.known else self.unseen)
                for counts in groups:
                    setattr(counts, counter, getattr(counts, counter) + 1)


def name_of(text: str, span: Span) -> Name:
    """Return type and name of a span, whatever its width and case."""
    return span.type, normalise(text[span.start : span.end], half_width=True, lowercase=True)


def names_in(sentences: Iterable[Sentence]) -> set[Name]:
    """Return the names of training sentences, for `Evaluation.known`."""
    return {name_of(sentence.text, span) for sentence in sentences for span in sentence.spans}


def evaluate(
    extract: Extract,
    sentences: Sequence[Sentence],
    *,
    known: Collection[Name] | None = None,
    chunk: int = 512,
    progress: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Run `extract` over all sentences, `chunk` at a time, and compare.

    Args:
        extract: texts to entities.
        sentences: labelled.
        known: names of the training files, if seen and unseen names are to be told apart.
        chunk: texts handed over at once.
        progress: called with the number of texts done after each chunk.
    """
    result = Evaluation(known)
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
