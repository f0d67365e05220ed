"""Characters that are a word, and so one token, whatever stands beside them in a BERT tokenizer. Pure.

BERT's tokenizer parts a text at every ideograph and every punctuation mark before it looks a word up, so that most of a
Chinese text can be read from a table of ids, and only what stands between such characters needs the tokenizer.
"""

import json

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

_IDEOGRAPHS = range(0x4E00, 0xA000)
_PUNCTUATION = "，。、；：？！“”‘’（）《》〈〉「」『』【】〔〕—…·"
_POINTS = 0x10000
NO_WORD = -1


def ids_of_words(tokenizer: Tokenizer) -> NDArray[np.int64] | None:
    """Return the token of each code point that is a word, NO_WORD for others; None for another kind of tokenizer.

    Returns:
        int64 [65536]; the last code point, which is no character, is NO_WORD.
    """
    described = json.loads(tokenizer.to_str())
    normalizer, splitter = described["normalizer"] or {}, described["pre_tokenizer"] or {}
    if (
        normalizer.get("type") != "BertNormalizer"
        or not normalizer.get("handle_chinese_chars")
        or splitter.get("type") != "BertPreTokenizer"
        or described["model"].get("type") != "WordPiece"
        or any(_is_word(each["content"]) for each in described["added_tokens"])
    ):
        return None
    vocabulary = described["model"]["vocab"]
    unknown = vocabulary.get(described["model"]["unk_token"], NO_WORD)
    table = np.full(_POINTS, NO_WORD, dtype=np.int64)
    for point in (*_IDEOGRAPHS, *map(ord, _PUNCTUATION)):
        table[point] = vocabulary.get(chr(point), unknown)
    return table


def look_up(text: str, table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the token of each character of `text`, NO_WORD where the table has none: int64 [characters]."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    found: NDArray[np.int64] = table[np.minimum(points, _POINTS - 1)]
    return found


def _is_word(content: str) -> bool:
    """Tell whether an added token could be found in a run of words, where it would part them otherwise."""
    return any(ord(character) in _IDEOGRAPHS or character in _PUNCTUATION for character in content)
