"""Which word of a dictionary each token belongs to: what the encoder learns to tell while it is pretrained.

jieba's dictionary knows 350,000 words and their parts of speech, names of people, places and organisations among them.
Telling a text's words and their kinds puts that knowledge into the weights, where little running text would not bring
it; joint training with segmentation is known to help names in Chinese (Peng and Dredze 2016). At inference there is no
dictionary and no segmenter.
"""

from collections.abc import Sequence

import numpy as np
import rjieba
from numpy.typing import NDArray

_PARTS = ("nr", "ns", "nt", "nz", "n", "v", "a", "d", "m", "q", "r", "t", "x", "other")
"""Parts of speech in ICTCLAS's notation, told apart by their longest beginning that stands here."""
_PLACES = "BMES"
TAGS = len(_PARTS) * len(_PLACES)
IGNORED = -100
"""In place of a tag, where no loss is taken; PyTorch's own choice."""


def tag(text: str, offsets: Sequence[tuple[int, int]]) -> NDArray[np.int8]:
    """Return a tag per token: where it stands in its word (begin, middle, end, single), and the word's part of speech.

    Args:
        text: normalised.
        offsets: of the tokens, in code points; a token of several characters counts by its first.
    """
    characters = np.zeros(len(text) + 1, dtype=np.int8)
    start = 0
    for word, part in rjieba.tag(text):
        end = start + len(word)
        kind = _part(part) * len(_PLACES)
        characters[start:end] = kind + 1
        characters[start] = kind
        characters[end - 1] = kind + (3 if len(word) == 1 else 2)
        start = end
    return characters[[first for first, _ in offsets]]


def _part(tag: str) -> int:
    for length in (2, 1):
        if tag[:length] in _PARTS:
            return _PARTS.index(tag[:length])
    return _PARTS.index("other")
