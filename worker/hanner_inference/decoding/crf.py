"""The linear-chain CRF over the encoder's scores: its weights, and the best label paths. Pure numpy.

The algorithms, here and in lattice.py, loop over time and handle all rows of a batch at once. Rows are sorted by
length, longest first, so the rows that still have a token at a time step are a prefix. Padding is never read, and rows
do not affect each other.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Crf:
    """The weights of a linear-chain CRF, with the names of pytorch-crf.

    Attributes:
        start_transitions: float64 [labels], score of a path that starts with the label.
        end_transitions: float64 [labels], score of a path that ends with the label.
        transitions: float64 [labels, labels], score of label j (column) after label i (row).
    """

    start_transitions: Floats
    end_transitions: Floats
    transitions: Floats

    @classmethod
    def from_bytes(cls, data: bytes, labels: int) -> Self:
        """Return the weights in `data`, the content of crf.safetensors.

        Raises:
            ValueError: if `data` is not a CRF for this number of labels.
        """
        try:
            tensors = safetensors.numpy.load(data)
        except Exception as error:  # safetensors raises its own, KeyError or ValueError
            raise ValueError(f"not a safetensors file: {error}") from error
        shapes = {"start_transitions": (labels,), "end_transitions": (labels,), "transitions": (labels, labels)}
        if tensors.keys() != shapes.keys():
            raise ValueError(f"it contains {', '.join(sorted(tensors)) or 'nothing'}; expected {', '.join(shapes)}")
        for name, shape in shapes.items():
            if tensors[name].shape != shape:
                raise ValueError(f"{name} has shape {list(tensors[name].shape)}; {labels} labels need {list(shape)}")
            if tensors[name].dtype != np.float32 or not np.isfinite(tensors[name]).all():
                raise ValueError(f"{name} must contain only finite numbers of type float32")
        return cls(**{name: tensors[name].astype(np.float64) for name in shapes})

    def to_bytes(self) -> bytes:
        """Return the content of crf.safetensors: the weights as float32."""
        fields = ("start_transitions", "end_transitions", "transitions")
        return safetensors.numpy.save({name: np.asarray(getattr(self, name), dtype=np.float32) for name in fields})

    def best_paths(self, emissions: NDArray[np.float32], lengths: Ints) -> Ints:
        """Return the best label path of each row (Viterbi).

        Args:
            emissions: float [rows, time, labels]; values beyond a row's length are never read.
            lengths: int [rows], 1 to time.

        Returns:
            int64 [rows, time], labels; -1 beyond a row's length.
        """
        rows = longest_first(lengths)
        scores = np.ascontiguousarray(emissions[rows].swapaxes(0, 1), dtype=np.float64)
        active = active_rows(lengths[rows])
        scores[0] += self.start_transitions
        # [from, row, to]: the maximum over the first axis runs along whole rows of memory.
        labels = len(self.transitions)
        steps, previous = self.transitions[:, None, :], scores.transpose(0, 2, 1)[..., None]
        sums, best = np.empty((labels, len(rows), labels)), np.empty((len(rows), labels))
        for time, count in enumerate(active[1:], start=1):
            np.add(previous[time - 1, :, :count], steps, out=sums[:, :count])
            np.maximum.reduce(sums[:, :count], axis=0, out=best[:count])
            scores[time, :count] += best[:count]
        paths = np.full(scores.shape[:2], -1, dtype=np.int64)
        into = np.ascontiguousarray(self.transitions.T)
        continuing = 0
        for time in range(len(active) - 1, -1, -1):
            count = active[time]
            final = scores[time, :count]
            if continuing < count:
                final[continuing:] += self.end_transitions
            if continuing:
                final[:continuing] += into.take(paths[time + 1, :continuing], axis=0)
            final.argmax(axis=1, out=paths[time, :count])
            continuing = count
        return restore_order(paths.T, rows)


def longest_first(lengths: Ints) -> Ints:
    """Return the row indices, longest row first."""
    return np.argsort(-lengths, kind="stable")


def restore_order(values: Ints, rows: Ints) -> Ints:
    """Return `values` in the original order of rows: the inverse of `longest_first`."""
    restored = np.empty_like(values)
    restored[rows] = values
    return restored


def active_rows(lengths: Ints) -> list[int]:
    """Return, for each time step up to the longest row, how many rows have a token there."""
    time = np.arange(lengths[0] if len(lengths) else 0)
    active: list[int] = np.searchsorted(-lengths, -time, side="left").tolist()
    return active
