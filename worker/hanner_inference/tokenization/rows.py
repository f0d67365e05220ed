"""Rows: what a model reads of one window. No I/O."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Row:
    """One window as input of a model.

    Attributes:
        ids: int64 [tokens], with special tokens.
        characters: int64 [3, characters], for a model that labels characters instead of tokens: the id of each
            character, the index in `ids` of the token that it belongs to, and its place in that token.
    """

    ids: NDArray[np.int64]
    characters: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.ids)
