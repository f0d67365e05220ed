"""From a text to token ids and where each token stands in it. Wraps `tokenizers`; no I/O."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from hanner_inference.tokenization.char_table import NO_WORD, ids_of_words, look_up
from hanner_inference.tokenization.normalise import normalise
from hanner_inference.tokenization.windows import Window

_PIECES = re.compile(
    r".{1,4096}\Z|(?:.{1,4096}|.+?)(?<=[。！？；，、\n ])(?=[一-龥!-~])|.+",
    re.DOTALL,
)
"""Pieces of a text that are encoded apart: `tokenizers` needs about 700 bytes a character while it works, 70 MB for the
longest text. They part between punctuation or a blank and a plain character, where words part anyway."""

_CHARACTERS = 32_768
"""Characters whose tokens are kept; more than any language writes with."""

_SHORT = 16
"""Longest run between ideographs, in code points, whose tokens are kept: a number, a word, a mark."""

_RUNS = 4096
"""Such runs that are kept."""


class TokenizerOptions(Protocol):
    """What a tokenizer needs to know of the model; the manifest says it."""

    @property
    def half_width(self) -> bool: ...  # noqa: D102
    @property
    def lowercase(self) -> bool: ...  # noqa: D102
    @property
    def cls_id(self) -> int | None: ...  # noqa: D102
    @property
    def sep_id(self) -> int | None: ...  # noqa: D102
    @property
    def split(self) -> str: ...  # noqa: D102
    @property
    def label_mask(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one text, without special ones.

    Attributes:
        ids: int64 [n], ids in the vocabulary.
        starts: int64 [n], first code point of each token; never falls.
        ends: int64 [n], one past its last code point; never falls, and always above its start.
        labelled: int64 [m], indices of the tokens that have labels: all, or the first of each word.
    """

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    labelled: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def labelled_in(self, window: Window) -> NDArray[np.int64]:
        """Return the labelled tokens of a window, counted from its start."""
        first, last = np.searchsorted(self.labelled, (window.start, window.end))
        return self.labelled[first:last] - window.start


class TextTokenizer:
    """Normalises texts and cuts them into tokens.

    Texts are encoded one by one: `encode_batch` starts threads, which do not survive the fork of the pool.

    Attributes:
        cls_id: id of the token before every window.
        sep_id: id of the token after it.
    """

    def __init__(self, tokenizer_json: str, options: TokenizerOptions) -> None:
        """Read a tokenizer.json.

        Raises:
            ValueError: it is no tokenizer, or it has no [CLS] or [SEP] and the options do not name their ids.
        """
        try:
            self._tokenizer = Tokenizer.from_str(tokenizer_json)
        except Exception as error:  # tokenizers raises plain Exception
            raise ValueError(f"not a tokenizer of the tokenizers library: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._options = options
        self._first = options.label_mask == "first"
        self.cls_id = self._special_id("[CLS]", options.cls_id)
        self.sep_id = self._special_id("[SEP]", options.sep_id)
        if options.split == "characters":
            self._unknown = self._special_id(getattr(self._tokenizer.model, "unk_token", None) or "[UNK]", None)
            self._of_character = lru_cache(maxsize=_CHARACTERS)(self._encode_character)
        else:
            self._of_words = ids_of_words(self._tokenizer)
            self._of_run = lru_cache(maxsize=_RUNS)(self._encode)

    def is_same(self, one: str, other: str) -> bool:
        """Tell whether the model sees no difference between two texts."""
        return np.array_equal(self.encode(one).ids, self.encode(other).ids)

    def encode(self, text: str) -> Tokens:
        """Return the tokens of `text`; a blank text has none, unless it is split into characters."""
        prepared = normalise(text, half_width=self._options.half_width, lowercase=self._options.lowercase)
        pieces = self._characters(prepared) if self._options.split == "characters" else self._words(prepared)
        if not len(pieces):
            return Tokens(*np.zeros((4, 0), dtype=np.int64))
        ids, starts, ends, words = pieces.T
        # Some tokenizers step back within a character that became several, or add tokens that stand nowhere.
        starts = np.maximum.accumulate(np.clip(starts, 0, len(text)))
        ends = np.maximum.accumulate(np.clip(ends, 0, len(text)))
        solid = ends > starts
        labelled = np.diff(words[solid], prepend=-1) != 0 if self._first else np.ones(solid.sum(), dtype=np.bool_)
        return Tokens(ids[solid], starts[solid], ends[solid], np.flatnonzero(labelled))

    def _words(self, text: str) -> NDArray[np.int64]:
        """Return id, start, end and number of its word for each token: int64 [n, 4]; no number if nobody asks."""
        if self._of_words is None:
            return self._encode_run(text, 0)
        ids = look_up(text, self._of_words)
        known = ids != NO_WORD
        places = np.arange(len(ids))
        table = np.stack((ids, places, places + 1, places), axis=1)
        if known.all():
            return table
        # Where runs of characters that are words, and of those that are not, begin; each odd cut ends an unknown run.
        cuts = np.flatnonzero(np.diff(known, prepend=True, append=True)).tolist()
        tables: list[NDArray[np.int64]] = []
        after = 0
        for first, last in zip(cuts[::2], cuts[1::2], strict=True):
            tables += (table[after:first], self._encode_run(text[first:last], first))
            after = last
        return np.concatenate([*tables, table[after:]])

    def _encode_run(self, text: str, start: int) -> NDArray[np.int64]:
        """Do as `_words` with the tokenizer itself, for text that begins at `start`."""
        table = self._of_run(text) if len(text) <= _SHORT else self._encode(text)
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

    def _characters(self, text: str) -> NDArray[np.int64]:
        """The same, where every character is a word; one that the tokenizer drops is unknown."""
        return np.array(
            [
                (token, place, place + 1, place)
                for place, character in enumerate(text)
                for token in self._of_character(character)
            ],
            dtype=np.int64,
        ).reshape(-1, 4)

    def _encode_character(self, character: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(character, add_special_tokens=False).ids) or (self._unknown,)

    def _special_id(self, token: str, given: int | None) -> int:
        found = self._tokenizer.token_to_id(token) if given is None else given
        if found is None:
            raise ValueError(f"it has no token {token}, and the manifest names no id for it")
        if found >= self._tokenizer.get_vocab_size():
            raise ValueError(
                f"its vocabulary has {self._tokenizer.get_vocab_size()} tokens, so {token} cannot be {found}"
            )
        return int(found)
