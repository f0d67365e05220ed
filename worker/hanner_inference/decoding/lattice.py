"""All label paths of a batch under a CRF: the likely paths, exact posteriors of spans, random paths. Pure numpy.

Forward and backward weights are computed in one loop: the backward pass is the forward pass over the reversed row with
the transposed transitions. See Rabiner, "A Tutorial on Hidden Markov Models" (1989), for both and for the scaling.
"""

import math

import numpy as np
from numpy.typing import NDArray

from hanner_inference.decoding.crf import Crf, Floats, Ints, active_rows, longest_first, restore_order

_FLOOR = -300.0
"""Lowest log weight of a transition or score relative to the best one. e^-600 is still a double, so no sum is 0."""
_INTERVAL = 8
"""Steps between those that are scaled."""
_SMALLEST = 1e-200
"""Smallest sum of weights before it is scaled, so that no weight that matters is below the smallest double."""
_CERTAIN = 0.5 + 1e-6
"""A path with more than half of the probability is the best one; the rest is for rounding errors."""
_LN2 = math.log(2)


class Lattice:
    """Forward and backward weights of a batch.

    They are divided by powers of two at some steps, which is faster than log space, and exact. Once in _INTERVAL steps
    is often enough, except for scores that no model gives; then every step is scaled.

    Attributes:
        forward: float64 [time, rows, labels], weight of a label at a time together with everything before it.
        backward: float64 [time, rows, labels], the same with everything after it instead.
        forward_log, backward_log: float64 [time, rows], logarithms of the numbers by which the weights were divided.
        log_total: float64 [rows], logarithm of the sum over all paths.
    """

    def __init__(self, crf: Crf, emissions: NDArray[np.float32], lengths: Ints) -> None:
        """Compute the weights.

        Args:
            crf: the weights.
            emissions: float [rows, time, labels]; values beyond a row's length are never read.
            lengths: int [rows], 1 to time.
        """
        self._crf, self._emissions = crf, emissions
        self.order = longest_first(lengths)
        self.lengths = lengths[self.order]
        active = active_rows(self.lengths)
        time, rows = np.arange(len(active)), np.arange(len(lengths))
        self._inside = time[:, None] < self.lengths
        mirrored = np.where(self._inside, self.lengths - 1 - time[:, None], time[:, None])
        scores = emissions[self.order, : len(active)].swapaxes(0, 1).astype(np.float64)
        scores[~self._inside] = 0.0  # padding may contain anything, including NaN
        scores -= scores.max(axis=-1, keepdims=True)
        self._scores, self._weights = scores, _floored_exp(scores)
        self._transitions, self._steps = _relative(crf.transitions)
        self._start, first = _relative(crf.start_transitions)
        self._end, self._last = _relative(crf.end_transitions)

        weights = np.empty((len(active), 2, *self._weights.shape[1:]))  # [time, direction, rows, labels]
        weights[:, 0], weights[:, 1] = self._weights, self._weights[mirrored, rows]
        chain = _Chain(weights, np.array([self._steps, self._steps.T]), active)
        first = np.array([first, self._last])[:, None]
        final = self.lengths - 1
        smallest = chain.run(first, _INTERVAL)
        total = chain.sums[final, 0, rows] @ self._last
        if min(smallest, float(total.min())) < _SMALLEST:
            chain.run(first, 1)  # with each step scaled, every sum is at least 1/2
            total = chain.sums[final, 0, rows] @ self._last
        logs = chain.exponents.cumsum(axis=0) * _LN2
        self.forward, self.forward_log = chain.sums[:, 0], logs[:, 0]
        self.backward, self.backward_log = chain.sums[mirrored, 1, rows], logs[mirrored, 1, rows]
        self.log_total = np.log(total) + self.forward_log[final, rows]

    def best_paths(self) -> Ints:
        """Return the best label path of each row: int64 [rows, time], -1 beyond a row's length.

        The labels that are most probable at their time nearly always form the best path. They do if that path has more
        than half of the probability; other rows are searched by `Crf.best_paths`.
        """
        likely = (self.forward * self.backward / self._weights).argmax(axis=-1)
        certain = np.exp(self._path_logs(likely)[-1] + self._end[self._at_end(likely)] - self.log_total) > _CERTAIN
        paths = np.where(self._inside, likely, -1).T
        if not certain.all():
            unsure = np.flatnonzero(~certain)
            found = self._crf.best_paths(self._emissions[self.order[unsure]], self.lengths[unsure])
            paths[unsure, : found.shape[1]] = found[:, : paths.shape[1]]
        return restore_order(paths, self.order)

    def _at_end(self, paths: Ints) -> Ints:
        """Return the last label of each row of paths [time, rows]."""
        labels: Ints = paths[self.lengths - 1, np.arange(len(self.lengths))]
        return labels

    def _path_logs(self, paths: Ints) -> Floats:
        """Return the log weight of paths [time, rows] up to each time, without end; it is constant after the end."""
        time, rows = np.ogrid[: paths.shape[0], : paths.shape[1]]
        logs = self._scores[time, rows, paths]
        logs[0] += self._start[paths[0]]
        logs[1:] += self._transitions[paths[:-1], paths[1:]]
        logs[~self._inside] = 0.0
        summed: Floats = logs.cumsum(axis=0)
        return summed

    def span_posteriors(
        self, paths: Ints, *, span_rows: Ints, starts: Ints, ends: Ints, continues: NDArray[np.bool_]
    ) -> Floats:
        """Return the probability of each span under the CRF.

        It is the probability that the span's tokens have the labels of the path, and that the entity does not extend
        beyond the span: the sum over all label paths of the row that agree with `paths` on the span, and in which the
        labels before and after the span do not belong to the same entity.

        Args:
            paths: int [rows, time], the labels.
            span_rows: int [spans], the row of each span.
            starts: int [spans], the first token of each span.
            ends: int [spans], one past the last token of each span.
            continues: bool [labels, labels], whether label j after label i continues i's entity.

        Returns:
            float64 [spans], 0 to 1.
        """
        at = np.argsort(self.order)[span_rows]  # the row's index after sorting
        first, final = paths[span_rows, starts], paths[span_rows, ends - 1]
        path_logs = self._path_logs(paths[self.order].T)
        logs = path_logs[ends - 1, at] - path_logs[starts, at] - self.log_total[at]

        prefix = np.exp(self._start)[first]
        inner = np.flatnonzero(starts > 0)
        before, label = starts[inner] - 1, first[inner]
        into = np.where(continues, 0.0, self._steps).T[label]
        prefix[inner] = (self.forward[before, at[inner]] * into).sum(axis=1)
        logs[inner] += self.forward_log[before, at[inner]]
        logs += self._scores[starts, at, first]

        suffix = np.exp(self._end)[final]
        inner = np.flatnonzero(ends < self.lengths[at])
        out = np.where(continues, 0.0, self._steps)[final[inner]]
        suffix[inner] = (self.backward[ends[inner], at[inner]] * out).sum(axis=1)
        logs[inner] += self.backward_log[ends[inner], at[inner]]
        with np.errstate(divide="ignore"):  # the logarithm of a probability of 0
            posteriors = np.exp(logs + np.log(prefix) + np.log(suffix))
        limited: Floats = np.minimum(posteriors, 1.0)  # rounding can exceed 1
        return limited

    def sample_paths(self, count: int, rng: np.random.Generator) -> Ints:
        """Return label paths drawn from the CRF's distribution (forward filtering, backward sampling).

        Args:
            count: number of paths per row.
            rng: source of randomness.

        Returns:
            int64 [count, rows, longest], labels; -1 beyond a row's length.
        """
        times, rows, _ = self.forward.shape
        paths = np.full((count, rows, times), -1, dtype=np.int64)
        into = np.ascontiguousarray(self._steps.T)
        for time in range(times - 1, -1, -1):
            active = int((self.lengths > time).sum())
            continuing = int((self.lengths > time + 1).sum())
            weights = np.broadcast_to(self.forward[time, :active] * self._last, (count, active, len(self._last))).copy()
            if continuing:
                weights[:, :continuing] = self.forward[time, :continuing] * into[paths[:, :continuing, time + 1]]
            sums = weights.cumsum(axis=-1)
            drawn = rng.random((count, active, 1)) * sums[..., -1:]
            paths[:, :active, time] = (sums > drawn).argmax(axis=-1)
        restored = np.empty_like(paths)
        restored[:, self.order] = paths
        return restored


class _Chain:
    """The recursion of both directions: sums[t] = weights[t] * (sums[t - 1] @ steps), divided by powers of two.

    Attributes:
        sums: float64 [time, directions, rows, labels].
        exponents: int [time, directions, rows], of the power of two by which each step was divided.
    """

    def __init__(self, weights: Floats, steps: Floats, active: list[int]) -> None:
        """Set the weights [time, directions, rows, labels], the steps, and the number of rows with each time."""
        self._weights, self._steps, self._active = weights, steps, active
        self.sums = np.empty_like(weights)
        self.exponents = np.zeros(weights.shape[:3], dtype=np.int32)

    def run(self, first: Floats, interval: int) -> float:
        """Compute all sums, scaled once in `interval` steps; return the smallest total of a row before scaling."""
        smallest = 1.0
        previous = np.multiply(self._weights[0], first, out=self.sums[0])
        rows = self._active[0]
        for time, (current, weights, count) in enumerate(zip(self.sums, self._weights, self._active, strict=True)):
            if count < rows:
                current[:, count:] = 0.0
                current, weights, previous = current[:, :count], weights[:, :count], previous[:, :count]  # noqa: PLW2901
            if time:
                np.matmul(previous, self._steps, out=current)
                np.multiply(current, weights, out=current)
            if time % interval == interval - 1:
                totals = current.sum(axis=-1)
                smallest = min(smallest, float(totals.min()))
                exponents = np.frexp(totals)[1]
                self.exponents[time, :, :count] = exponents
                np.ldexp(current, -exponents[..., None], out=current)
            previous = current
        return smallest


def _relative(logs: Floats) -> tuple[Floats, Floats]:
    """Return log weights relative to the best one, and the weights."""
    relative: Floats = logs - logs.max()
    return relative, _floored_exp(relative)


def _floored_exp(logs: Floats) -> Floats:
    weights: Floats = np.exp(np.maximum(logs, _FLOOR))
    return weights
