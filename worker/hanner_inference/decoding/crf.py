"""The linear-chain CRF over the encoder's scores: best label paths and exact posteriors of spans. Pure numpy.

Both algorithms loop over time and handle all rows of a batch at once. Rows are sorted by length, longest first, so the
rows that still have a token at a time step are a prefix. Padding is never read, and rows do not affect each other.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

_FLOOR = -300.0
"""Lowest log weight of a transition or score relative to the best one. e^-600 is still a double, so no sum is 0."""

_INTERVAL = 8
"""Steps between those that are scaled."""
_SMALLEST = 1e-200
"""Smallest sum of weights before it is scaled, so that no weight that matters is below the smallest double."""

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
        rows = _longest_first(lengths)
        scores = np.ascontiguousarray(emissions[rows].swapaxes(0, 1), dtype=np.float64)
        active = _active_rows(lengths[rows])
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
        return _restore_order(paths.T, rows)

    def sample_paths(
        self, emissions: NDArray[np.float32], lengths: Ints, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return label paths drawn from the CRF's distribution (forward filtering, backward sampling).

        Args:
            emissions: float [rows, time, labels]; values beyond a row's length are never read.
            lengths: int [rows], 1 to time.
            count: number of paths per row.
            rng: source of randomness.

        Returns:
            int64 [count, rows, longest], labels; -1 beyond a row's length.
        """
        return _Lattice(self, emissions, lengths).sample_paths(count, rng)

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
        """Return the probability of each span under the CRF.

        It is the probability that the span's tokens have the labels of the path, and that the entity does not extend
        beyond the span: the sum over all label paths of the row that agree with `paths` on the span, and in which the
        labels before and after the span do not belong to the same entity.

        Args:
            emissions: float [rows, time, labels]; values beyond a row's length are never read.
            lengths: int [rows], 1 to time.
            paths: int [rows, time], the labels.
            span_rows: int [spans], the row of each span.
            starts: int [spans], the first token of each span.
            ends: int [spans], one past the last token of each span.
            continues: bool [labels, labels], whether label j after label i continues i's entity.

        Returns:
            float64 [spans], 0 to 1.
        """
        needed = np.unique(span_rows)
        lattice = _Lattice(self, emissions[needed], lengths[needed])
        row = np.searchsorted(needed, span_rows)
        return lattice.span_posteriors(row, starts, ends, paths[needed], continues)


class _Lattice:
    """Forward and backward weights of a batch.

    They are divided by powers of two at some steps, which is faster than log space, and exact. Once in _INTERVAL steps
    is often enough, except for scores that no model gives; then every step is scaled.
    """

    def __init__(self, crf: Crf, emissions: NDArray[np.float32], lengths: Ints) -> None:
        self.order = _longest_first(lengths)
        self.lengths = lengths
        active = _active_rows(lengths[self.order])
        scores = np.ascontiguousarray(emissions[self.order, : len(active)].swapaxes(0, 1), dtype=np.float64)
        for time, count in enumerate(active):
            scores[time, count:] = 0.0  # padding may contain anything, including NaN
        self.weights = _relative_exp(scores)
        self.steps = _relative_exp(crf.transitions, axis=None)
        self.last = last = _relative_exp(crf.end_transitions)

        # forward[t, r, i]: weight of label i at t given all steps up to t; scales[t, r]: the divisor of that step.
        start = _relative_exp(crf.start_transitions)
        self.forward = np.zeros_like(self.weights)
        self.scales = np.ones(self.weights.shape[:2])
        if self._set_forward(active, start, _INTERVAL) < _SMALLEST:
            self.scales[:] = 1.0  # with each step scaled, every sum is at least 1/2
            self._set_forward(active, start, 1)

        # backward[t, r, j]: weight of everything after label j at t, with the same scales.
        self.backward = np.zeros_like(self.weights)
        backsteps = np.ascontiguousarray(self.steps.T)
        scaled = self.weights / self.scales[..., None]
        continuing = 0
        for time in range(len(active) - 1, -1, -1):
            count = active[time]
            if continuing:
                suffix = scaled[time + 1, :continuing] * self.backward[time + 1, :continuing]
                np.matmul(suffix, backsteps, out=self.backward[time, :continuing])
            if continuing < count:
                self.backward[time, continuing:count] = last / (self.forward[time, continuing:count] @ last)[:, None]
            continuing = count

    def _set_forward(self, active: list[int], start: Floats, interval: int) -> float:
        """Set forward weights that are scaled once in `interval` steps; return the smallest sum before that."""
        smallest = 1.0
        np.multiply(self.weights[0], start, out=self.forward[0])
        for time, count in enumerate(active):
            current = self.forward[time, :count]
            if time:
                np.matmul(self.forward[time - 1, :count], self.steps, out=current)
                current *= self.weights[time, :count]
            if time % interval == interval - 1:
                sums = current.sum(axis=1)
                smallest = min(smallest, float(sums.min()))
                self.scales[time, :count] = scales = np.exp2(np.frexp(sums)[1])
                current /= scales[:, None]
        final = self.forward[self.lengths[self.order] - 1, np.arange(active[0])]
        return min(smallest, float((final @ self.last).min()))

    def suffix_weights(self, time: Ints, row: Ints) -> Floats:
        """Return the weight of each label at `time` together with everything after it: [rows, labels]."""
        weights: Floats = self.weights[time, row] * self.backward[time, row] / self.scales[time, row][..., None]
        return weights

    def sample_paths(self, count: int, rng: np.random.Generator) -> Ints:
        """Return paths drawn from the distribution, see Crf.sample_paths."""
        times, rows, _ = self.forward.shape
        paths = np.full((count, rows, times), -1, dtype=np.int64)
        into = np.ascontiguousarray(self.steps.T)
        lengths = self.lengths[self.order]
        for time in range(times - 1, -1, -1):
            active = int((lengths > time).sum())
            continuing = int((lengths > time + 1).sum())
            weights = np.broadcast_to(self.forward[time, :active] * self.last, (count, active, len(self.last))).copy()
            if continuing:
                weights[:, :continuing] = self.forward[time, :continuing] * into[paths[:, :continuing, time + 1]]
            sums = weights.cumsum(axis=-1)
            drawn = rng.random((count, active, 1)) * sums[..., -1:]
            paths[:, :active, time] = (sums > drawn).argmax(axis=-1)
        restored = np.empty_like(paths)
        restored[:, self.order] = paths
        return restored

    def span_posteriors(self, row: Ints, starts: Ints, ends: Ints, paths: Ints, continues: NDArray[np.bool_]) -> Floats:
        """Return the posterior of each span, see Crf.span_posteriors. `row` and `paths` use the original row order."""
        position = np.argsort(self.order)[row]  # the row's index after sorting
        first, final = paths[row, starts], paths[row, ends - 1]
        prefix = self.forward[starts, position, first]
        inner = starts > 0
        at, label = position[inner], first[inner]
        before = self.forward[starts[inner] - 1, at] * self.steps[:, label].T * ~continues[:, label].T
        prefix[inner] = before.sum(axis=1) * (self.weights[starts[inner], at, label] / self.scales[starts[inner], at])

        suffix = self.backward[ends - 1, position, final]
        inner = ends < self.lengths[row]
        after = self.suffix_weights(ends[inner], position[inner]) * self.steps[final[inner]] * ~continues[final[inner]]
        suffix[inner] = after.sum(axis=1)

        within = np.ones(len(row))
        for offset in range(1, int((ends - starts).max(initial=0))):
            longer = np.flatnonzero(starts + offset < ends)
            time, at = starts[longer] + offset, position[longer]
            previous, label = paths[row[longer], time - 1], paths[row[longer], time]
            within[longer] *= self.steps[previous, label] * self.weights[time, at, label] / self.scales[time, at]
        return np.clip(prefix * within * suffix, 0.0, 1.0)  # rounding can exceed 1


def _longest_first(lengths: Ints) -> Ints:
    """Return the row indices, longest row first."""
    return np.argsort(-lengths, kind="stable")


def _restore_order(values: Ints, rows: Ints) -> Ints:
    """Return `values` in the original order of rows: the inverse of `_longest_first`."""
    restored = np.empty_like(values)
    restored[rows] = values
    return restored


def _active_rows(lengths: Ints) -> list[int]:
    """Return, for each time step up to the longest row, how many rows have a token there."""
    time = np.arange(lengths[0] if len(lengths) else 0)
    active: list[int] = np.searchsorted(-lengths, -time, side="left").tolist()
    return active


def _relative_exp(scores: Floats, axis: int | None = -1) -> Floats:
    """Return exp(scores), scaled so that the best is 1 and no value is below e^_FLOOR."""
    relative: Floats = np.exp(np.maximum(scores - scores.max(axis=axis, keepdims=True), _FLOOR))
    return relative
