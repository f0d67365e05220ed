"""Batches for the teacher, with texts prepared exactly as at inference. No torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hanner_inference.engine.base import Batch
from hanner_inference.tokenization.pieces import PieceTokenizer
from hanner_models.data.datasets import Sentence
from hanner_models.source.teacher import CHARACTERS, LABELS, PIECES, piece_options


class PieceBatch(NamedTuple):
    """One batch of int64 arrays.

    Attributes:
        pieces: [rows, pieces], with special ones, 0 where padded.
        characters: [rows, length], ids of the characters, 0 where padded.
        owners: [rows, length], the position of each character's piece in the row of `pieces`.
        places: [rows, length], the place of each character in its piece.
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
        tokenizer: of the encoder.
        max_length: code points after which sentences are truncated.
    """

    def __init__(self, tokenizer: PieceTokenizer, max_length: int) -> None:
        self.max_length = max_length
        self._tokenizer = tokenizer

    @classmethod
    def open(cls, folder: Path, max_length: int, *, fold_traditional: bool = False) -> Self:
        """Return the encoder for a folder that unpack.py wrote."""
        characters = (folder / CHARACTERS).read_text("utf-8").split("\n")
        options = piece_options(max_length, fold_traditional=fold_traditional)
        return cls(PieceTokenizer((folder / PIECES).read_text("utf-8"), options, characters), max_length)

    def encode(self, sentences: Sequence[Sentence]) -> PieceBatch:
        """Return a batch of the sentences, which must not be empty."""
        texts = [sentence.text[: self.max_length] for sentence in sentences]
        batch = Batch.from_rows([self._tokenizer.encode_window(text) for text in texts])
        characters = batch.characters
        assert characters is not None
        tags = np.zeros_like(characters.ids)
        for row, (text, sentence) in enumerate(zip(texts, sentences, strict=True)):
            tag(tags[row], sentence, len(text))
        return PieceBatch(
            batch.input_ids, characters.ids, characters.owners, characters.places, characters.lengths, tags
        )


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
