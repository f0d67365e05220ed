"""Adapt a tagger's head to the entity types of the data. Known labels keep their weights. No I/O."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hanner_models.data.datasets import DataError, Sentence
from hanner_models.source import Source

_SCHEMES = ("BI", "BIES", "BMES")
Floats = NDArray[np.float32]


def entity_types(sentences: Sequence[Sentence]) -> list[str]:
    """Return the entity types in the sentences, sorted.

    Raises:
        DataError: they have no entities.
    """
    types = sorted({span.type for sentence in sentences for span in sentence.spans})
    if not types:
        raise DataError("the data has no entities; label some, or check its format")
    return types


def tagging_scheme(labels: Sequence[str]) -> str:
    """Return the prefixes of the tagging scheme: BI, BIES or BMES."""
    prefixes = {label.partition("-")[0] for label in labels} - {"O"}
    return next(scheme for scheme in _SCHEMES if prefixes <= set(scheme))


def target_labels(types: Collection[str], base: Sequence[str]) -> tuple[str, ...]:
    """Return the labels for these types in the base's tagging scheme, in the base's order if they are the same."""
    scheme = tagging_scheme(base)
    own = dict.fromkeys(label.partition("-")[2] for label in base if label != "O")
    order = [kind for kind in own if kind in types] + [kind for kind in sorted(types) if kind not in own]
    labels = ("O", *(f"{prefix}-{kind}" for kind in order for prefix in scheme))
    return tuple(base) if set(labels) == set(base) else labels


def relabel(source: Source, labels: tuple[str, ...]) -> Source:
    """Return the tagger with other labels.

    Known labels keep their weights. A new label starts as the mean of the labels with the same prefix. A new transition
    starts as the mean of the transitions between such labels, separately for transitions within a type and between
    types. So the tagger already knows where entities begin and end, and only has to learn their types.
    """
    if labels == source.labels:
        return source
    weights = dict(source.weights)
    origins = [_similar_labels(label, source.labels) for label in labels]
    for name in ("linear.weight", "linear.bias", "crf.start_transitions", "crf.end_transitions"):
        weights[name] = np.stack([weights[name][rows].mean(axis=0) for rows in origins]).astype(np.float32)
    weights["crf.transitions"] = _transitions(weights["crf.transitions"], source.labels, labels)
    return replace(source, weights=weights, labels=labels)


def _similar_labels(label: str, base: Sequence[str]) -> list[int]:
    """Return the base's labels that a label starts from: itself, else all with its prefix, else all but O."""
    if label in base:
        return [base.index(label)]
    prefix = label.partition("-")[0]
    same = [index for index, other in enumerate(base) if other.partition("-")[0] == prefix]
    return same or [index for index, other in enumerate(base) if other != "O"]


def _transitions(table: Floats, base: Sequence[str], labels: Sequence[str]) -> Floats:
    def kind(label: str) -> str:
        return label.partition("-")[2]

    result = np.empty((len(labels), len(labels)), dtype=np.float32)
    for row, one in enumerate(labels):
        for column, other in enumerate(labels):
            pairs = [(i, j) for i in _similar_labels(one, base) for j in _similar_labels(other, base)]
            matching = [(i, j) for i, j in pairs if (kind(base[i]) == kind(base[j])) == (kind(one) == kind(other))]
            result[row, column] = np.mean([table[pair] for pair in matching or pairs])
    return result
