"""Keep words in alphabets whole if a model labels characters: no name begins or ends inside of one. No I/O."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hanner_inference.decoding.labels import Labels

_WORD = re.compile("[0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0370-\u052f０-９Ａ-Ｚａ-ｚ]{2,}")
"""Letters with or without accents, Greek, Cyrillic, and digits; half-width or full-width."""
_FORBIDDEN = np.float32(-1e4)
"""Added to the scores of labels; the probability of their paths is 0 then."""


def find_words(text: str) -> list[tuple[int, int]]:
    """Return start and end of each word of two or more letters and digits."""
    return [match.span() for match in _WORD.finditer(text)]


def keep_words_whole(
    emissions: NDArray[np.float32], words: Sequence[Sequence[tuple[int, int]]], labels: Labels
) -> NDArray[np.float32]:
    """Return scores with which no name begins or ends inside of a word.

    Args:
        emissions: float32 [rows, length, labels].
        words: start and end of the words of each row.
        labels: of the model. Only a scheme that marks the ends of names, such as BIOES, keeps words whole at both ends.
    """
    if not any(words):
        return emissions
    begins, ends = (np.isin(labels.prefixes, list(prefixes)) for prefixes in ("BS", "ES"))
    emissions = emissions.copy()
    for row, spans in enumerate(words):
        for start, end in spans:
            emissions[row, start + 1 : end, begins] += _FORBIDDEN
            emissions[row, start : end - 1, ends] += _FORBIDDEN
    return emissions
