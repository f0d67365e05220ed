"""From a text to characters, and from a window to word pieces, for models that read pieces and label characters.

Such a model's tokens are pieces of several characters, found by a unigram tokenizer, so a window has fewer tokens than
characters. The encoder reads the pieces; a last layer reads the characters, each with the state of its piece. The
pieces of a window depend only on its text, so windows are cut between characters before they are split into pieces.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from hanner_inference.tokenization.options import TokenizerOptions
from hanner_inference.tokenization.rows import Row
from hanner_inference.tokenization.tokens import Tokens, open_tokenizer, special_id
from hanner_inference.tokenization.windows import Window

PADDING, UNKNOWN = 0, 1
"""Ids of characters: padding, and characters without a vector of their own. The others follow."""
_CODE_POINTS = 0x10000
"""Code points whose ids are in an array; the few beyond them are in a dict."""
PLACES = 8
"""Places of a character in its piece that the model distinguishes."""


class PieceTokenizer:
    """Normalises texts, and splits windows into pieces. The units with labels are characters.

    Attributes:
        cls_id: id of the token before every window.
        sep_id: id of the token after every window.
    """

    def __init__(self, tokenizer_json: str, options: TokenizerOptions, characters: Sequence[str]) -> None:
        """Parse a tokenizer.json.

        Args:
            tokenizer_json: of a unigram tokenizer.
            options: of the model.
            characters: those that have a vector of their own, in the order of their ids.

        Raises:
            ValueError: if it is not a tokenizer, has no special tokens, or an entry of `characters` is not a character.
        """
        self._tokenizer = open_tokenizer(tokenizer_json)
        disable_cache(self._tokenizer)
        self._options = options
        self.cls_id = special_id(self._tokenizer, "<s>", options.cls_id)
        self.sep_id = special_id(self._tokenizer, "</s>", options.sep_id)
        if (wrong := next((entry for entry in characters if len(entry) != 1), None)) is not None:
            raise ValueError(f"its characters include {wrong!r}")
        self._ids = np.full(_CODE_POINTS + 1, UNKNOWN, dtype=np.int64)
        self._astral: dict[int, int] = {}
        for character_id, point in enumerate(map(ord, characters), start=UNKNOWN + 1):
            if point < _CODE_POINTS:
                self._ids[point] = character_id
            else:
                self._astral[point] = character_id

    def is_same(self, one: str, other: str) -> bool:
        """Return whether two texts are the same after normalisation, so that the model cannot distinguish them."""
        return self._options.normalise(one) == self._options.normalise(other)

    def encode(self, text: str) -> Tokens:
        """Return the characters of `text`; a text without any visible character has none."""
        normalised = self._options.normalise(text)
        if all(character == " " or not character.isprintable() for character in normalised):
            return Tokens(*np.zeros((4, 0), dtype=np.int64))
        positions = np.arange(len(normalised))
        return Tokens(self._character_ids(normalised), positions, positions + 1, positions)

    def row(self, text: str, tokens: Tokens, window: Window) -> Row:
        """Return a window of the text as input of the model: its pieces and its characters."""
        content = self._options.normalise(text[window.start : window.end])
        return self._row(content, tokens.ids[window.start : window.end])

    def encode_window(self, text: str) -> Row:
        """Return a text, which is one window, as input of the model."""
        content = self._options.normalise(text)
        return self._row(content, self._character_ids(content))

    def _row(self, content: str, character_ids: NDArray[np.int64]) -> Row:
        encoding = self._tokenizer.encode(content, add_special_tokens=False)
        ids = np.array([self.cls_id, *encoding.ids, self.sep_id], dtype=np.int64)
        owners, places = locate_characters(encoding.offsets, len(content))
        return Row(ids, np.stack((character_ids, owners, places)))

    def _character_ids(self, text: str) -> NDArray[np.int64]:
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        ids: NDArray[np.int64] = self._ids[np.minimum(points, _CODE_POINTS)]
        if self._astral:
            for index in np.flatnonzero(points >= _CODE_POINTS).tolist():
                ids[index] = self._astral.get(int(points[index]), UNKNOWN)
        return ids


def locate_characters(offsets: Sequence[tuple[int, int]], length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the piece of each character, counted from 1, and its place in the piece: two int64 [length].

    Where pieces overlap, a character belongs to the last one. A character without a piece has 0 in both.

    Args:
        offsets: start and end of each piece.
        length: number of characters.
    """
    starts, ends = np.array(offsets, dtype=np.int64).reshape(-1, 2).T
    sizes = ends - starts
    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    positions = np.repeat(starts, sizes) + within
    owners, places = np.zeros((2, length), dtype=np.int64)
    owners[positions] = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    places[positions] = np.minimum(within, PLACES - 1)
    return owners, places


def disable_cache(tokenizer: Tokenizer) -> None:
    """Disable the tokenizer's cache of words: Chinese has sentences instead of words, and 10,000 of them take 40 MB."""
    resize = getattr(tokenizer.model, "_resize_cache", None)  # versions of tokenizers without it have no cache either
    if resize is not None:
        resize(0)
