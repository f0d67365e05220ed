"""How large a request will be once it is tokenised, guessed without a tokenizer. Pure: no I/O, no clock."""

from collections.abc import Iterable
from typing import NamedTuple

from hanner_inference.tokenization import SPECIAL_TOKENS


class Size(NamedTuple):
    """What a request costs the model.

    Attributes:
        texts: texts, good or bad.
        rows: windows of text.
        longest: tokens of the longest window.
        characters: code points of all texts together.
    """

    texts: int
    rows: int
    longest: int
    characters: int = 0


def estimate(texts: Iterable[object], max_length: int) -> Size:
    """Guess the size of a request: one token per character, windows of `max_length` tokens.

    Chinese is one token per character; Latin words take fewer, so the guess is an upper bound. What is no string
    counts as an empty text: it costs the model nothing and is refused later.

    Args:
        texts: the texts of one request.
        max_length: tokens the model takes at once, special ones included; at least 3.
    """
    room = max_length - SPECIAL_TOKENS
    count = rows = longest = characters = 0
    for text in texts:
        length = len(text) if isinstance(text, str) else 0
        windows = max(1, -(-length // room))
        rows += windows
        longest = max(longest, min(length, room) + SPECIAL_TOKENS)
        count += 1
        characters += length
    return Size(count, max(rows, 1), max(longest, SPECIAL_TOKENS), characters)
