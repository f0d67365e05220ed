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


class Engine(Protocol):
    """Runs the encoder. A row's scores must not depend on the other rows or on its padding."""

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """Return emission scores [rows, length, labels]; what stands at padded positions means nothing."""
        ...
