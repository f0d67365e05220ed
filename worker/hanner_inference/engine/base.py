"""The interface of an engine: a batch of token ids in, one row of label scores per token out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of similar length, padded to the longest.

    Attributes:
        input_ids: int64 [rows, length], 0 where padded.
        lengths: int64 [rows], tokens of each row, with special tokens and without padding.
    """

    input_ids: NDArray[np.int64]
    lengths: NDArray[np.int64]


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
        """Return emission scores [rows, length, labels]; values at padded positions are undefined."""
        ...
