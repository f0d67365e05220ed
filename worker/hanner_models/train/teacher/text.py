"""Texts for the encoder's pieces: normalise, split into pieces, and find each character's piece. No torch."""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from hanner_models.data.datasets import Sentence

SPACE = "\u2581"
"""The character that stands for a space in a piece."""
PLACES = 8
"""Places of a character in its piece that the network distinguishes."""
PADDING, UNKNOWN, BEGIN, END = range(4)
"""Indices of the special pieces; the first two also of characters."""
_TYPES = ("PER", "LOC", "ORG")
LABELS = ("O", *(f"{prefix}-{kind}" for kind in _TYPES for prefix in "BIES"))


@lru_cache(maxsize=65_536)
def _prepare_character(character: str) -> str:
    if character.isspace():
        return " "
    compatible = unicodedata.normalize("NFKC", character)
    return compatible if len(compatible) == 1 and not compatible.isspace() else character


def prepare(text: str) -> str:
    """Return the text in Unicode's compatible form (NFKC), one code point for one; all white space becomes spaces."""
    return "".join(map(_prepare_character, text))


class PieceBatch(NamedTuple):
    """One batch of int64 arrays.

    Attributes:
        pieces: [rows, pieces], with BEGIN and END, padded with PADDING.
        characters: [rows, length], indices of the characters, padded with PADDING.
        owners: [rows, length], the position of each character's piece in the row of `pieces`.
        places: [rows, length], the place of each character in its piece, at most PLACES - 1.
        lengths: [rows], characters of each row.
        tags: [rows, length], indices into LABELS; 0 at padding.
    """

    pieces: NDArray[np.int64]
    characters: NDArray[np.int64]
    owners: NDArray[np.int64]
    places: NDArray[np.int64]
    lengths: NDArray[np.int64]
    tags: NDArray[np.int64]


class PieceEncoder:
    """Turns sentences into batches.

    Args:
        tokenizer: over the kept pieces.
        characters: those that have a vector, see unpack.py.
        max_length: code points after which sentences are truncated.
    """

    def __init__(self, tokenizer: Tokenizer, characters: Sequence[str], max_length: int) -> None:
        self.tokenizer, self.max_length = tokenizer, max_length
        self._characters = {character: index for index, character in enumerate(characters, start=2)}
        self._characters[" "] = UNKNOWN

    @classmethod
    def open(cls, folder: Path, max_length: int) -> Self:
        """Return the encoder for a folder that unpack.py wrote."""
        characters = (folder / "characters.txt").read_text("utf-8").split("\n")
        return cls(Tokenizer.from_file(str(folder / "pieces.json")), characters, max_length)

    def encode(self, sentences: Sequence[Sentence]) -> PieceBatch:
        """Return a batch of the sentences, which must not be empty."""
        texts = [prepare(sentence.text[: self.max_length]) for sentence in sentences]
        encodings = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        shape = (len(texts), int(lengths.max()))
        pieces = np.full((len(texts), max(len(e.ids) for e in encodings) + 2), PADDING, dtype=np.int64)
        characters, owners, places, tags = np.zeros((4, *shape), dtype=np.int64)
        for row, (text, encoding, sentence) in enumerate(zip(texts, encodings, sentences, strict=True)):
            count = len(encoding.ids)
            pieces[row, : count + 2] = [BEGIN, *encoding.ids, END]
            characters[row, : len(text)] = [self._characters.get(c, UNKNOWN) for c in text]
            for number, (start, end) in enumerate(encoding.offsets, start=1):
                owners[row, start:end] = number
                places[row, start:end] = np.minimum(np.arange(end - start), PLACES - 1)
            tag(tags[row], sentence, len(text))
        return PieceBatch(pieces, characters, owners, places, lengths, tags)


def tag(tags: NDArray[np.int64], sentence: Sentence, length: int) -> None:
    """Write the labels of a sentence's characters into `tags`; names that end beyond `length` are not labelled."""
    for span in sentence.spans:
        if span.end > length:
            continue
        if span.end - span.start == 1:
            tags[span.start] = LABELS.index(f"S-{span.type}")
            continue
        tags[span.start : span.end] = LABELS.index(f"I-{span.type}")
        tags[span.start] = LABELS.index(f"B-{span.type}")
        tags[span.end - 1] = LABELS.index(f"E-{span.type}")
