"""Word tags: the position of each token in its word, and the word's part of speech. A target of pretraining. No torch.

jieba's dictionary has 350,000 words with their parts of speech, including names of people, places and organisations.
Predicting words and parts of speech transfers that knowledge to the weights, which a small amount of running text would
not. Joint training with segmentation is known to improve Chinese named-entity recognition (Peng and Dredze 2016). At
inference, neither dictionary nor segmenter is used.
"""

from collections.abc import Sequence

import numpy as np
import rjieba
from numpy.typing import NDArray

_PARTS_OF_SPEECH = ("nr", "ns", "nt", "nz", "n", "v", "a", "d", "m", "q", "r", "t", "x", "other")
"""Parts of speech in ICTCLAS's notation; the longest prefix in this list counts."""
_POSITIONS = "BMES"
TAG_COUNT = len(_PARTS_OF_SPEECH) * len(_POSITIONS)
IGNORED = -100
"""The tag of tokens that are excluded from the loss; PyTorch's default for `ignore_index`."""


def tag_words(text: str, offsets: Sequence[tuple[int, int]]) -> NDArray[np.int8]:
    """Return a tag per token: its position in its word (begin, middle, end, single) and the word's part of speech.

    Args:
        text: normalised.
        offsets: of the tokens, in code points; the first character of a token counts.
    """
    characters = np.zeros(len(text) + 1, dtype=np.int8)
    start = 0
    for word, part in rjieba.tag(text):
        end = start + len(word)
        kind = _part(part) * len(_POSITIONS)
        characters[start:end] = kind + 1
        characters[start] = kind
        characters[end - 1] = kind + (3 if len(word) == 1 else 2)
        start = end
    return characters[[first for first, _ in offsets]]


def _part(tag: str) -> int:
    for length in (2, 1):
        if tag[:length] in _PARTS_OF_SPEECH:
            return _PARTS_OF_SPEECH.index(tag[:length])
    return _PARTS_OF_SPEECH.index("other")
