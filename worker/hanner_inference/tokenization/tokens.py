"""From a text to token ids and the position of each token in the text. Wraps the `tokenizers` library; no I/O."""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from hanner_inference.tokenization import SPECIAL_TOKENS
from hanner_inference.tokenization.char_table import NO_TOKEN, build_char_table, look_up
from hanner_inference.tokenization.options import TokenizerOptions
from hanner_inference.tokenization.rows import Row
from hanner_inference.tokenization.windows import Window

_PIECES = re.compile(
    r".{1,4096}\Z|(?:.{1,4096}|.+?)(?<=[。！？；，、\n ])(?=[一-龥!-~])|.+",
    re.DOTALL,
)
"""Pieces of a text that are encoded one at a time, because `tokenizers` needs about 700 bytes per character: 70 MB for
the longest text. Pieces end between punctuation or a space and a plain character, where a word always ends."""

_CHARACTER_CACHE_SIZE = 32_768
"""Characters whose tokens are cached: more than any language uses."""

_MAX_CACHED_RUN = 16
"""Longest run between ideographs, in code points, whose tokens are cached: a number, a word, a symbol."""

_RUN_CACHE_SIZE = 4096
"""Runs whose tokens are cached."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one text, without special tokens; with a model that labels characters, its characters.

    Attributes:
        ids: int64 [n], ids in the vocabulary.
        starts: int64 [n], first code point of each token; never decreases.
        ends: int64 [n], one past the last code point of each token; never decreases, always greater than the start.
        labelled: int64 [m], indices of the tokens that have labels: all, or the first of each word.
    """

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    labelled: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def labelled_in(self, window: Window) -> NDArray[np.int64]:
        """Return the indices of the labelled tokens of a window, relative to its start."""
        first, last = np.searchsorted(self.labelled, (window.start, window.end))
        return self.labelled[first:last] - window.start


class WordTokenizer:
    """Normalises and tokenises texts.

    Texts are encoded one at a time: `encode_batch` starts threads, which do not survive the fork of the pool.

    Attributes:
        cls_id: id of the token before every window.
        sep_id: id of the token after every window.
    """

    def __init__(self, tokenizer_json: str, options: TokenizerOptions) -> None:
        """Parse a tokenizer.json.

        Raises:
            ValueError: if it is not a tokenizer, or has no [CLS] or [SEP] and the options do not set their ids.
        """
        self._tokenizer = open_tokenizer(tokenizer_json)
        self._options = options
        self._first = options.label_mask == "first"
        self.cls_id = special_id(self._tokenizer, "[CLS]", options.cls_id)
        self.sep_id = special_id(self._tokenizer, "[SEP]", options.sep_id)
        if options.split == "characters":
            unknown = getattr(self._tokenizer.model, "unk_token", None) or "[UNK]"
            self._unknown = special_id(self._tokenizer, unknown, None)
            self._character_ids = lru_cache(maxsize=_CHARACTER_CACHE_SIZE)(self._encode_character)
        else:
            self._char_table = build_char_table(self._tokenizer)
            self._encode_cached = lru_cache(maxsize=_RUN_CACHE_SIZE)(self._encode)

    def is_same(self, one: str, other: str) -> bool:
        """Return whether two texts have the same token ids, so that the model cannot distinguish them."""
        return np.array_equal(self.encode(one).ids, self.encode(other).ids)

    def encode(self, text: str) -> Tokens:
        """Return the tokens of `text`; a blank text has none, unless texts are split into characters."""
        normalised = self._options.normalise(text)
        pieces = (
            self._encode_characters(normalised)
            if self._options.split == "characters"
            else self._encode_words(normalised)
        )
        if not len(pieces):
            return Tokens(*np.zeros((4, 0), dtype=np.int64))
        ids, starts, ends, words = pieces.T
        # Some tokenizers step back within a character that became several, or add tokens without any character.
        starts = np.maximum.accumulate(np.clip(starts, 0, len(text)))
        ends = np.maximum.accumulate(np.clip(ends, 0, len(text)))
        nonempty = ends > starts
        labelled = np.diff(words[nonempty], prepend=-1) != 0 if self._first else np.ones(nonempty.sum(), dtype=np.bool_)
        return Tokens(ids[nonempty], starts[nonempty], ends[nonempty], np.flatnonzero(labelled))

    def row(self, text: str, tokens: Tokens, window: Window) -> Row:
        """Return a window of the text as input of the model: its tokens with special ones."""
        del text
        ids = np.empty(len(window) + SPECIAL_TOKENS, dtype=np.int64)
        ids[0], ids[1:-1], ids[-1] = self.cls_id, tokens.ids[window.start : window.end], self.sep_id
        return Row(ids)

    def _encode_words(self, text: str) -> NDArray[np.int64]:
        """Return id, start, end and word number of each token: int64 [n, 4]; word numbers only if they are used."""
        if self._char_table is None:
            return self._encode_run(text, 0)
        ids = look_up(text, self._char_table)
        known = ids != NO_TOKEN
        positions = np.arange(len(ids))
        rows = np.stack((ids, positions, positions + 1, positions), axis=1)
        if known.all():
            return rows
        # Starts and ends of the runs that need the tokenizer, alternating.
        bounds = np.flatnonzero(np.diff(known, prepend=True, append=True)).tolist()
        parts: list[NDArray[np.int64]] = []
        done = 0
        for start, end in zip(bounds[::2], bounds[1::2], strict=True):
            parts += (rows[done:start], self._encode_run(text[start:end], start))
            done = end
        return np.concatenate([*parts, rows[done:]])

    def _encode_run(self, text: str, start: int) -> NDArray[np.int64]:
        """Return the same as `_encode_words`, by the tokenizer, for text at offset `start`."""
        table = self._encode_cached(text) if len(text) <= _MAX_CACHED_RUN else self._encode(text)
        shifted: NDArray[np.int64] = table + np.array((0, start, start, start))
        return shifted

    def _encode(self, text: str) -> NDArray[np.int64]:
        tables = [np.zeros((0, 4), dtype=np.int64)]
        for piece in _PIECES.finditer(text):
            encoding = self._tokenizer.encode(piece[0], add_special_tokens=False)
            table = np.zeros((len(encoding.ids), 4), dtype=np.int64)
            table[:, 0] = encoding.ids
            table[:, 1:3] = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2) + piece.start()
            if self._first:
                table[:, 3] = np.array(encoding.word_ids, dtype=np.int64) + piece.start()
            tables.append(table)
        return np.concatenate(tables)

    def _encode_characters(self, text: str) -> NDArray[np.int64]:
        """Return the same, with every character as a word; a character that the tokenizer drops is [UNK]."""
        return np.array(
            [
                (token, position, position + 1, position)
                for position, character in enumerate(text)
                for token in self._character_ids(character)
            ],
            dtype=np.int64,
        ).reshape(-1, 4)

    def _encode_character(self, character: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(character, add_special_tokens=False).ids) or (self._unknown,)


def open_tokenizer(tokenizer_json: str) -> Tokenizer:
    """Return the tokenizer in a tokenizer.json, without truncation and padding.

    Raises:
        ValueError: if it is not a tokenizer.
    """
    try:
        tokenizer = Tokenizer.from_str(tokenizer_json)
    except Exception as error:  # tokenizers raises plain Exception
        raise ValueError(f"not a tokenizer of the tokenizers library: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def special_id(tokenizer: Tokenizer, token: str, configured: int | None) -> int:
    """Return the id of a special token: the configured one, else that of `token`.

    Raises:
        ValueError: if the tokenizer has no such token or id.
    """
    token_id = tokenizer.token_to_id(token) if configured is None else configured
    if token_id is None:
        raise ValueError(f"it has no token {token}, and the manifest does not set its id")
    if token_id >= tokenizer.get_vocab_size():
        raise ValueError(
            f"its vocabulary has {tokenizer.get_vocab_size()} tokens, so {token} cannot have id {token_id}"
        )
    return int(token_id)
