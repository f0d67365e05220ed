"""The interface of a tokenizer, and the choice of one for a model. No I/O."""

from collections.abc import Sequence
from typing import Protocol

from hanner_inference.tokenization.options import TokenizerOptions
from hanner_inference.tokenization.pieces import PieceTokenizer
from hanner_inference.tokenization.rows import Row
from hanner_inference.tokenization.tokens import Tokens, WordTokenizer
from hanner_inference.tokenization.windows import Window


class TextTokenizer(Protocol):
    """Normalises texts and finds the units that windows are cut from and that have labels: tokens or characters.

    Texts are encoded one at a time: `encode_batch` starts threads, which do not survive the fork of the pool.
    """

    def is_same(self, one: str, other: str) -> bool:
        """Return whether the model cannot distinguish two texts."""
        ...

    def encode(self, text: str) -> Tokens:
        """Return the units of `text`, without special tokens; a blank text has none."""
        ...

    def row(self, text: str, tokens: Tokens, window: Window) -> Row:
        """Return a window of the text as input of the model; `tokens` are those that `encode` returned."""
        ...


def make_tokenizer(tokenizer_json: str, options: TokenizerOptions, characters: Sequence[str] = ()) -> TextTokenizer:
    """Return the tokenizer of a model.

    Args:
        tokenizer_json: content of tokenizer.json.
        options: of the model.
        characters: those that have a vector of their own, for a model over word pieces.

    Raises:
        ValueError: if it is not a tokenizer, or lacks special tokens.
    """
    if options.split == "pieces":
        return PieceTokenizer(tokenizer_json, options, characters)
    return WordTokenizer(tokenizer_json, options)
