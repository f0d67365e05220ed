"""The CRF against brute force over all label paths of small rows."""

from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanner_inference.decoding.crf import Crf
from hanner_inference.decoding.labels import Labels
from hanner_inference.decoding.lattice import Lattice
from hanner_inference.decoding.spans import decode, span_bounds

SCHEMES = [
    ("O", "B-X", "I-X"),
    ("B-X", "O", "I-X", "B-Y", "I-Y"),
    ("O", "B-X", "I-X", "E-X", "S-X"),
    ("O", "B-X", "M-X", "E-X", "S-X"),
]


@st.composite
def cases(draw):
    labels = Labels(draw(st.sampled_from(SCHEMES)))
    lengths = np.array(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    spread = draw(st.sampled_from([0.3, 2.0, 8.0]))
    size = len(labels)
    crf = Crf(random.normal(0, spread, size), random.normal(0, spread, size), random.normal(0, spread, (size, size)))
    if draw(st.booleans()):
        crf.transitions[random.random((size, size)) < 0.2] = -10_000
    emissions = random.normal(0, spread, (len(lengths), 5, size)).astype(np.float32)
    for row, length in enumerate(lengths):
        emissions[row, length:] = draw(st.sampled_from([0.0, 1e30, np.nan, np.inf]))
    return labels, crf, emissions, lengths


def path_score(crf, emissions, path):
    score = crf.start_transitions[path[0]] + crf.end_transitions[path[-1]]
    score += sum(float(emissions[time, label]) for time, label in enumerate(path))
    return score + sum(crf.transitions[a, b] for a, b in pairwise(path))


def spans_of(path, labels):
    _, starts, ends = span_bounds(np.array([path]), labels)
    return [(int(s), int(e)) for s, e in zip(starts, ends, strict=True)]


@given(cases())
def test_best_paths_and_posteriors_equal_brute_force(case):
    labels, crf, emissions, lengths = case
    paths = Lattice(crf, emissions, lengths).best_paths()
    assert (paths == crf.best_paths(emissions, lengths)[:, : paths.shape[1]]).all()
    found = decode(emissions, lengths, crf, labels)
    for row, length in enumerate(lengths):
        all_paths = list(product(range(len(labels)), repeat=int(length)))
        scores = np.array([path_score(crf, emissions[row], path) for path in all_paths])
        best = tuple(paths[row, :length])
        assert path_score(crf, emissions[row], best) == pytest.approx(scores.max(), abs=1e-6)
        assert (paths[row, length:] == -1).all()
        weights = np.exp(scores - scores.max())
        assert [(span.start, span.end) for span in found[row]] == spans_of(best, labels)
        for span in found[row]:
            here = slice(span.start, span.end)
            consistent = [
                path[here] == best[here] and (span.start, span.end) in spans_of(path, labels) for path in all_paths
            ]
            assert span.score == pytest.approx(weights[consistent].sum() / weights.sum(), abs=1e-9)


@given(cases())
def test_a_row_decodes_the_same_alone_and_in_a_batch(case):
    labels, crf, emissions, lengths = case
    together = decode(emissions, lengths, crf, labels)
    for row, length in enumerate(lengths):
        (alone,) = decode(emissions[row : row + 1, :length], lengths[row : row + 1], crf, labels)
        assert [(s.start, s.end, s.type) for s in alone] == [(s.start, s.end, s.type) for s in together[row]]
        assert [s.score for s in alone] == pytest.approx([s.score for s in together[row]], abs=1e-12)


def test_extreme_scores_give_valid_probabilities():
    labels = Labels(("O", "B-X", "I-X"))
    crf = Crf(np.array([0, 0, -1e4]), np.zeros(3), np.array([[0, 0, -1e4], [0, 0, 0], [0, 0, 0.0]]))
    emissions = np.zeros((1, 400, 3), dtype=np.float32)
    emissions[0, :, 2] = 1e5  # every token prefers I, which must not come first
    emissions[0, 200, 0] = 1e6
    (spans,) = decode(emissions, np.array([400]), crf, labels)
    assert [(span.start, span.end) for span in spans] == [(0, 200), (201, 400)]
    assert all(0 <= span.score <= 1 for span in spans)


def test_scaling_each_step_gives_the_same_posteriors(monkeypatch):
    random = np.random.default_rng(0)
    crf = Crf(random.normal(0, 3, 13), random.normal(0, 3, 13), random.normal(0, 3, (13, 13)))
    emissions, lengths = random.normal(0, 4, (5, 70, 13)).astype(np.float32), np.array([70, 3, 65, 64, 1])
    labels = Labels(("O", *(f"{prefix}-{kind}" for kind in ("X", "Y", "Z") for prefix in "BIES")))
    usual = decode(emissions, lengths, crf, labels)
    monkeypatch.setattr("hanner_inference.decoding.lattice._INTERVAL", 1)
    for found, expected in zip(decode(emissions, lengths, crf, labels), usual, strict=True):
        assert [(s.start, s.end, s.type) for s in found] == [(s.start, s.end, s.type) for s in expected]
        assert [s.score for s in found] == pytest.approx([s.score for s in expected], abs=1e-12)


@pytest.mark.parametrize("length", [5, 8, 21, 400])
def test_scores_that_become_too_small_between_scaled_steps_are_scaled_each_step(length):
    crf = Crf(np.zeros(3), np.zeros(3), np.array([[0, -1e4, -1e4], [-1e4, -1e4, 0], [-1e4, -1e4, 0.0]]))
    emissions = np.zeros((1, length, 3), dtype=np.float32)
    emissions[0, ::2, 0] = emissions[0, 1::2, 1] = 1e4  # the best label of each token must not follow that before it
    paths = crf.best_paths(emissions, np.array([length]))
    assert paths.min() >= 0
    assert_total_is_equal_at_each_time(Lattice(crf, emissions, np.array([length])))


def test_path_that_is_forced_to_end_with_a_bad_label_is_scaled_each_step():
    transitions = np.array([[0.0, 0, 0], [-293, -299, 0], [0, -296, 0]])
    crf = Crf(np.array([-261.0, 0, -224]), np.array([-255.0, -291, 0]), transitions)
    emissions = np.array([[0, -250, 0], [-214, 0, -209], [0, -296, -285], [0, 0, -208], [-252, 0, -279]], np.float32)
    assert_total_is_equal_at_each_time(Lattice(crf, emissions[None], np.array([5])))


def assert_total_is_equal_at_each_time(lattice):
    weights = np.exp(np.maximum(lattice._scores, -300.0))
    logs = np.log((lattice.forward * lattice.backward / weights).sum(axis=-1))
    totals = logs + lattice.forward_log + lattice.backward_log
    np.testing.assert_allclose(totals, np.broadcast_to(lattice.log_total, totals.shape), rtol=1e-9)


def test_weights_are_unchanged_after_a_file_round_trip():
    crf = Crf(np.arange(3.0), np.ones(3), np.eye(3))
    again = Crf.from_bytes(crf.to_bytes(), 3)
    assert (again.transitions == crf.transitions).all()
    assert (again.start_transitions == crf.start_transitions).all()


@given(cases())
@settings(max_examples=20)
def test_drawn_paths_have_the_frequencies_of_their_probabilities(case):
    labels, crf, emissions, lengths = case
    count = 2000
    drawn = Lattice(crf, emissions, lengths).sample_paths(count, np.random.default_rng(0))
    assert drawn.shape == (count, len(lengths), lengths.max())
    for row, length in enumerate(lengths):
        assert (drawn[:, row, length:] == -1).all()
        all_paths = list(product(range(len(labels)), repeat=int(length)))
        scores = np.array([path_score(crf, emissions[row], path) for path in all_paths])
        expected = np.exp(scores - scores.max())
        expected /= expected.sum()
        found = Counter(map(tuple, drawn[:, row, :length].tolist()))
        frequencies = np.array([found[path] for path in all_paths]) / count
        assert frequencies.sum() == pytest.approx(1.0)
        # Six standard deviations of a frequency
        assert (abs(frequencies - expected) <= 6 * np.sqrt(expected * (1 - expected) / count) + 2 / count).all()
