"""A head for the types of the data: labels that the base has keep their rows, others start from their like. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hanner_models.data.datasets import DataError, Sentence
from hanner_models.source import Source

_SCHEMES = ("BI", "BIES", "BMES")
Floats = NDArray[np.float32]


def types_of(sentences: Sequence[Sentence]) -> list[str]:
    """Return the entity types of some sentences, sorted.

    Raises:
        DataError: there is no entity in them.
    """
    types = sorted({span.type for sentence in sentences for span in sentence.spans})
    if not types:
        raise DataError("the data has no entities, so there is nothing to learn from it")
    return types


def scheme_of(labels: Sequence[str]) -> str:
    """Return the prefixes of the labels' scheme: BI, BIES or BMES."""
    prefixes = {label.partition("-")[0] for label in labels} - {"O"}
    return next(scheme for scheme in _SCHEMES if prefixes <= set(scheme))


def labels_for(types: Collection[str], base: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of these types in the base's scheme; the base's own if they say the same."""
    scheme = scheme_of(base)
    own = dict.fromkeys(label.partition("-")[2] for label in base if label != "O")
    order = [kind for kind in own if kind in types] + [kind for kind in sorted(types) if kind not in own]
    labels = ("O", *(f"{prefix}-{kind}" for kind in order for prefix in scheme))
    return tuple(base) if set(labels) == set(base) else labels


def relabel(source: Source, labels: tuple[str, ...]) -> Source:
    """Give a tagger other labels.

    Labels that it has keep their rows. A new one starts as the mean of the labels with its prefix, a new transition as
    the mean of the transitions between such labels, within a type and between types apart: where names begin and end is
    known already, and only what kind they are must be learned.
    """
    if labels == source.labels:
        return source
    weights = dict(source.weights)
    each = [_like(label, source.labels) for label in labels]
    for name in ("linear.weight", "linear.bias", "crf.start_transitions", "crf.end_transitions"):
        weights[name] = np.stack([weights[name][rows].mean(axis=0) for rows in each]).astype(np.float32)
    weights["crf.transitions"] = _transitions(weights["crf.transitions"], source.labels, labels)
    return replace(source, weights=weights, labels=labels)


def _like(label: str, base: Sequence[str]) -> list[int]:
    """Return the base's labels that a label starts from: itself, or all of its prefix, or of any that is inside."""
    if label in base:
        return [base.index(label)]
    prefix = label.partition("-")[0]
    same = [index for index, other in enumerate(base) if other.partition("-")[0] == prefix]
    return same or [index for index, other in enumerate(base) if other != "O"]


def _transitions(table: Floats, base: Sequence[str], labels: Sequence[str]) -> Floats:
    def kind(label: str) -> str:
        return label.partition("-")[2]

    made = np.empty((len(labels), len(labels)), dtype=np.float32)
    for row, one in enumerate(labels):
        for column, other in enumerate(labels):
            pairs = [(i, j) for i in _like(one, base) for j in _like(other, base)]
            fitting = [(i, j) for i, j in pairs if (kind(base[i]) == kind(base[j])) == (kind(one) == kind(other))]
            made[row, column] = np.mean([table[pair] for pair in fitting or pairs])
    return made
