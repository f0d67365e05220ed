"""The interface of an engine: a batch of windows in, one row of label scores per token or character out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hanner_inference.tokenization import SPECIAL_TOKENS
from hanner_inference.tokenization.rows import Row


@dataclass(frozen=True, slots=True)
class CharacterBatch:
    """The characters of a batch's windows, padded to the longest; see `Row`.

    Attributes:
        ids: int64 [rows, characters], 0 where padded.
        owners: int64 [rows, characters], index in `input_ids` of the token that the character belongs to.
        places: int64 [rows, characters], place of the character in its token.
        lengths: int64 [rows], characters of each row.
    """

    ids: NDArray[np.int64]
    owners: NDArray[np.int64]
    places: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def part(self, rows: slice) -> Self:
        """Return some of the rows, without columns that none of them uses."""
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        return type(self)(self.ids[rows, :longest], self.owners[rows, :longest], self.places[rows, :longest], lengths)


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of similar length, padded to the longest.

    Attributes:
        input_ids: int64 [rows, length], 0 where padded.
        lengths: int64 [rows], tokens of each row, with special tokens and without padding.
        characters: the characters of each row, if the model labels them instead of tokens.
    """

    input_ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    characters: CharacterBatch | None = None

    @classmethod
    def from_rows(cls, rows: Sequence[Row]) -> Self:
        """Return the batch of one or more rows, all of the same kind."""
        ids, lengths = _pad([row.ids for row in rows])
        characters = [row.characters for row in rows if row.characters is not None]
        if not characters:
            return cls(ids, lengths)
        (character_ids, owners, places), counts = _pad(characters)
        return cls(ids, lengths, CharacterBatch(character_ids, owners, places, counts))

    @property
    def columns(self) -> int:
        """Return the number of columns that have scores: of tokens, or of characters if they have the labels."""
        return int((self.input_ids if self.characters is None else self.characters.ids).shape[1])

    def part(self, rows: slice) -> Self:
        """Return some of the rows, without columns that none of them uses."""
        characters = None if self.characters is None else self.characters.part(rows)
        return type(self)(self.input_ids[rows, : int(self.lengths[rows].max())], self.lengths[rows], characters)

    def without_special(self, scores: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the scores without those of special tokens, and the number of labelled units of each row.

        Args:
            scores: float32 [rows, columns, labels], the engine's result for this batch.
        """
        if self.characters is None:
            return scores[:, 1:-1], self.lengths - SPECIAL_TOKENS
        return scores, self.characters.lengths


def _pad(arrays: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return arrays [..., n] as one [..., rows, longest], 0 where padded, and their lengths."""
    lengths = np.array([array.shape[-1] for array in arrays], dtype=np.int64)
    padded = np.zeros((*arrays[0].shape[:-1], len(arrays), int(lengths.max())), dtype=np.int64)
    for row, (array, length) in enumerate(zip(arrays, lengths.tolist(), strict=True)):
        padded[..., row, :length] = array
    return padded, lengths


@dataclass(frozen=True, slots=True)
class Budget:
    """The batch limits that an engine prefers to the defaults of the settings.

    Attributes:
        texts: maximum number of windows in a batch.
        tokens: maximum number of tokens in a batch, with padding.
    """

    texts: int
    tokens: int


class Engine(Protocol):
    """Runs the encoder. A row's scores must not depend on the other rows or on padding.

    Two attributes are optional. `budget`, a Budget, replaces HANNER_BATCH_TEXTS and HANNER_BATCH_TOKENS if those are
    not set. `skip_warm_up = True` is for an engine that must not run before the process forks, such as one on a GPU.
    """

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """Return emission scores [rows, columns, labels]; values at padded positions are undefined.

        Columns are the tokens, or the characters if the batch has them.
        """
        ...
