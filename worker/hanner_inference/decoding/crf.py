"""The CRF over the encoder's scores: best label paths and exact posteriors of spans, over a whole batch in numpy. Pure.

Both loop over time only. Rows are put in order of falling length, so that those which still have a token at a step are
always the first: padding is never read, and no row is computed with another's numbers.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

_FLOOR = -300.0
"""Lowest log weight of one transition or score beside the best one; e^-600 is still a double, so no sum is ever 0."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Crf:
    """The weights of a linear-chain CRF, named as pytorch-crf names them.

    Attributes:
        start_transitions: float64 [labels], score of a path that begins with the label.
        end_transitions: float64 [labels], score of a path that ends with it.
        transitions: float64 [labels, labels], score of column j's label after row i's.
    """

    start_transitions: Floats
    end_transitions: Floats
    transitions: Floats

    @classmethod
    def from_bytes(cls, data: bytes, labels: int) -> Self:
        """Read a crf.safetensors.

        Raises:
            ValueError: it is not one for that many labels; the sentence says what is wrong.
        """
        try:
            tensors = safetensors.numpy.load(data)
        except Exception as error:  # safetensors raises its own, KeyError or ValueError
            raise ValueError(f"not a safetensors file: {error}") from error
        shapes = {"start_transitions": (labels,), "end_transitions": (labels,), "transitions": (labels, labels)}
        if tensors.keys() != shapes.keys():
            raise ValueError(f"it holds {', '.join(sorted(tensors)) or 'nothing'} and should hold {', '.join(shapes)}")
        for name, shape in shapes.items():
            if tensors[name].shape != shape:
                raise ValueError(f"{name} has shape {list(tensors[name].shape)} and {labels} labels need {list(shape)}")
            if tensors[name].dtype != np.float32 or not np.isfinite(tensors[name]).all():
                raise ValueError(f"{name} must hold finite numbers of type float32")
        return cls(**{name: tensors[name].astype(np.float64) for name in shapes})

    def to_bytes(self) -> bytes:
        """Return what belongs into crf.safetensors: the weights in float32."""
        fields = ("start_transitions", "end_transitions", "transitions")
        return safetensors.numpy.save({name: np.asarray(getattr(self, name), dtype=np.float32) for name in fields})

    def best_paths(self, emissions: NDArray[np.float32], lengths: Ints) -> Ints:
        """Find the best label path of each row (Viterbi).

        Args:
            emissions: float [rows, time, labels]; what stands past a row's length is never read.
            lengths: int [rows], 1 to time.

        Returns:
            int64 [rows, time], labels; -1 past a row's length.
        """
        rows = _by_length(lengths)
        scores = np.ascontiguousarray(emissions[rows].swapaxes(0, 1), dtype=np.float64)
        alive = _alive(lengths[rows])
        scores[0] += self.start_transitions
        for time, count in enumerate(alive[1:], start=1):
            # [from, row, to]: the maximum over the first axis runs along whole rows of memory.
            scores[time, :count] += (scores[time - 1, :count].T[:, :, None] + self.transitions[:, None, :]).max(axis=0)
        paths = np.full(scores.shape[:2], -1, dtype=np.int64)
        into = np.ascontiguousarray(self.transitions.T)
        for time in range(len(alive) - 1, -1, -1):
            count = alive[time]
            going_on = alive[time + 1] if time + 1 < len(alive) else 0
            best = scores[time, :count]
            best[going_on:] += self.end_transitions
            if going_on:
                best[:going_on] += into[paths[time + 1, :going_on]]
            paths[time, :count] = best.argmax(axis=1)
        return _in_order(paths.T, rows)

    def span_posteriors(  # noqa: PLR0913  the spans are four arrays
        self,
        emissions: NDArray[np.float32],
        lengths: Ints,
        paths: Ints,
        *,
        span_rows: Ints,
        starts: Ints,
        ends: Ints,
        continues: NDArray[np.bool_],
    ) -> Floats:
        """Return the probability of each span under the CRF: that its tokens have the path's labels, and it ends there.

        It is the sum over all label paths of the row that agree with `paths` on the span, and in which neither the
        label before it nor the one after it belongs to the same entity.

        Args:
            emissions: float [rows, time, labels]; what stands past a row's length is never read.
            lengths: int [rows], 1 to time.
            paths: int [rows, time], the labels.
            span_rows: int [spans], the row of each span.
            starts: int [spans], its first token.
            ends: int [spans], one past its last token.
            continues: bool [labels, labels], whether column j's label goes on with the entity of row i's.

        Returns:
            float64 [spans], 0 to 1.
        """
        needed = np.unique(span_rows)
        lattice = _Lattice(self, emissions[needed], lengths[needed])
        row = np.searchsorted(needed, span_rows)
        return lattice.span_posteriors(row, starts, ends, paths[needed], continues)


class _Lattice:
    """Forward and backward weights of a batch. Each step is scaled to sum to 1, which is cheaper than logarithms."""

    def __init__(self, crf: Crf, emissions: NDArray[np.float32], lengths: Ints) -> None:
        self.order = _by_length(lengths)
        self.lengths = lengths
        alive = _alive(lengths[self.order])
        scores = np.ascontiguousarray(emissions[self.order, : len(alive)].swapaxes(0, 1), dtype=np.float64)
        for time, count in enumerate(alive):
            scores[time, count:] = 0.0  # padding may hold anything, NaN included
        self.weights = _relative_exp(scores)
        self.steps = _relative_exp(crf.transitions, axis=None)
        last = _relative_exp(crf.end_transitions)

        # forward[t, r, i]: weight of label i at t given all up to t; scales[t, r]: what it was divided by.
        self.forward = np.zeros_like(self.weights)
        self.scales = np.ones(self.weights.shape[:2])
        current = _relative_exp(crf.start_transitions) * self.weights[0]
        for time, count in enumerate(alive):
            if time:
                current = (self.forward[time - 1, :count] @ self.steps) * self.weights[time, :count]
            self.scales[time, :count] = current.sum(axis=1)
            self.forward[time, :count] = current / self.scales[time, :count, None]

        # backward[t, r, j]: weight of all that follows label j at t, in the same scales.
        self.backward = np.zeros_like(self.weights)
        backsteps = np.ascontiguousarray(self.steps.T)
        for time in range(len(alive) - 1, -1, -1):
            count = alive[time]
            going_on = alive[time + 1] if time + 1 < len(alive) else 0
            if going_on:
                self.backward[time, :going_on] = self.arriving(time + 1, slice(going_on)) @ backsteps
            self.backward[time, going_on:count] = last / (self.forward[time, going_on:count] @ last)[:, None]

    def arriving(self, time: Ints | int, row: Ints | slice) -> Floats:
        """Weight of each label at `time` and all that follows: [rows, labels]."""
        weighed: Floats = self.weights[time, row] * self.backward[time, row] / self.scales[time, row][..., None]
        return weighed

    def span_posteriors(self, row: Ints, starts: Ints, ends: Ints, paths: Ints, continues: NDArray[np.bool_]) -> Floats:
        """Return the posterior of each span; see Crf.span_posteriors. `row` counts rows as given, `paths` with them."""
        at = np.argsort(self.order)[row]  # where the row went when all were sorted
        first, final = paths[row, starts], paths[row, ends - 1]
        opened = self.forward[starts, at, first]
        inner = starts > 0
        before = (
            self.forward[starts[inner] - 1, at[inner]] * self.steps[:, first[inner]].T * ~continues[:, first[inner]].T
        )
        step = self.weights[starts[inner], at[inner], first[inner]] / self.scales[starts[inner], at[inner]]
        opened[inner] = before.sum(axis=1) * step

        closed = self.backward[ends - 1, at, final]
        inner = ends < self.lengths[row]
        after = self.arriving(ends[inner], at[inner]) * self.steps[final[inner]] * ~continues[final[inner]]
        closed[inner] = after.sum(axis=1)

        within = np.ones(len(row))
        for offset in range(1, int((ends - starts).max(initial=0))):
            still = np.flatnonzero(starts + offset < ends)
            time, place = starts[still] + offset, at[still]
            before_label, label = paths[row[still], time - 1], paths[row[still], time]
            within[still] *= (
                self.steps[before_label, label] * self.weights[time, place, label] / self.scales[time, place]
            )
        # Rounding alone can step over 1.
        return np.clip(opened * within * closed, 0.0, 1.0)


def _by_length(lengths: Ints) -> Ints:
    """Return rows from the longest to the shortest."""
    return np.argsort(-lengths, kind="stable")


def _in_order(values: Ints, rows: Ints) -> Ints:
    """Undo `_by_length`."""
    restored = np.empty_like(values)
    restored[rows] = values
    return restored


def _alive(lengths: Ints) -> list[int]:
    """Return how many rows, longest first, have a token at each time up to the longest."""
    time = np.arange(lengths[0] if len(lengths) else 0)
    alive: list[int] = np.searchsorted(-lengths, -time, side="left").tolist()
    return alive


def _relative_exp(scores: Floats, axis: int | None = -1) -> Floats:
    """Return e to the scores, the best one at 1 and none below e^_FLOOR."""
    relative: Floats = np.exp(np.maximum(scores - scores.max(axis=axis, keepdims=True), _FLOOR))
    return relative
