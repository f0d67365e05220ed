"""Token ids by character, for characters that a BERT tokenizer always makes a token of their own. No I/O.

BERT's tokenizer splits a text at every ideograph and punctuation mark before it looks up words. So most of a Chinese
text can be read from a table of ids, and only the runs between such characters need the tokenizer.
"""

import json

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

_IDEOGRAPHS = range(0x4E00, 0xA000)
_PUNCTUATION = "，。、；：？！“”‘’（）《》〈〉「」『』【】〔〕—…·"
_TABLE_SIZE = 0x10000
NO_TOKEN = -1
"""Entry of a character that needs the tokenizer."""


def build_char_table(tokenizer: Tokenizer) -> NDArray[np.int64] | None:
    """Return the token id of each code point that is always one token, NO_TOKEN for all others.

    Returns:
        int64 [65536], the last entry always NO_TOKEN (U+FFFF is not a character); None if it is not a BERT tokenizer.
    """
    config = json.loads(tokenizer.to_str())
    normalizer, pre_tokenizer = config["normalizer"] or {}, config["pre_tokenizer"] or {}
    if (
        normalizer.get("type") != "BertNormalizer"
        or not normalizer.get("handle_chinese_chars")
        or pre_tokenizer.get("type") != "BertPreTokenizer"
        or config["model"].get("type") != "WordPiece"
        or any(_has_table_character(token["content"]) for token in config["added_tokens"])
    ):
        return None
    vocabulary = config["model"]["vocab"]
    unknown = vocabulary.get(config["model"]["unk_token"], NO_TOKEN)
    table = np.full(_TABLE_SIZE, NO_TOKEN, dtype=np.int64)
    for point in (*_IDEOGRAPHS, *map(ord, _PUNCTUATION)):
        table[point] = vocabulary.get(chr(point), unknown)
    return table


def look_up(text: str, table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the token id of each character of `text`, or NO_TOKEN: int64 [characters]."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    ids: NDArray[np.int64] = table[np.minimum(points, _TABLE_SIZE - 1)]
    return ids


def _has_table_character(content: str) -> bool:
    """Return whether an added token contains a character of the table, so that the table would be wrong."""
    return any(ord(character) in _IDEOGRAPHS or character in _PUNCTUATION for character in content)
