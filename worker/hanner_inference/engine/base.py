"""What an engine is: a batch of token ids in, one row of label scores per token out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of like length, padded to the longest.

    Attributes:
        input_ids: int64 [rows, length], 0 where padded.
        lengths: int64 [rows], tokens of each row with the special ones, without padding.
    """

    input_ids: NDArray[np.int64]
    lengths: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Budget:
    """How much an engine likes to be given at once, if the settings' defaults are not for it.

    Attributes:
        texts: most windows in one batch.
        tokens: most tokens in one batch after padding.
    """

    texts: int
    tokens: int


class Engine(Protocol):
    """Runs the encoder. A row's scores must not depend on the other rows or on its padding.

    An engine may have an attribute `budget`, a Budget: it replaces HANNER_BATCH_TEXTS and HANNER_BATCH_TOKENS where
    those are not set. One that must first run in the process which uses it, not in a parent, has `late = True`.
    """

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """Return emission scores [rows, length, labels]; what stands at padded positions means nothing."""
        ...
