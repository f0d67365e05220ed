"""Reliability figures of cases that were counted by hand."""

import pytest

from hanner_models.evaluation.reliability import ScoredEntity, Threshold, calibration_error, curve, summarise, threshold


def entities(*pairs):
    return [ScoredEntity("PER", score, correct) for score, correct in pairs]


def test_a_curve_has_the_precision_of_each_interval_and_includes_the_highest_score():
    found = curve(entities((0.2, False), (0.6, True), (0.8, False), (0.9, True), (1.0, True)), (0.0, 0.5, 1.0))
    assert [(part.low, part.high, part.count) for part in found] == [(0.0, 0.5, 1), (0.5, 1.0, 4)]
    assert [part.precision for part in found] == [0.0, 0.75]
    assert found[1].score == pytest.approx(0.825)


def test_an_empty_interval_is_left_out():
    assert [part.low for part in curve(entities((0.99, True)))] == [0.98]


def test_the_calibration_error_weights_intervals_by_their_entities():
    scored = entities((0.25, False), (0.75, True), (0.75, True), (0.75, False))
    assert calibration_error(scored, (0.0, 0.5, 1.0)) == pytest.approx((1 * 0.25 + 3 * abs(0.75 - 2 / 3)) / 4)
    assert calibration_error([]) == 0.0


def test_the_threshold_is_the_lowest_score_that_keeps_the_precision():
    scored = entities((0.9, True), (0.8, True), (0.7, False), (0.6, True), (0.5, True), (0.4, False))
    assert threshold(scored, 0.8) == Threshold(0.5, 0.8, 1.0)
    assert threshold(scored, 0.9) == Threshold(0.8, 1.0, 0.5)


def test_entities_with_the_same_score_are_kept_together():
    assert threshold(entities((0.9, True), (0.9, False)), 0.95) is None


def test_no_score_has_a_precision_that_is_not_reached():
    assert threshold(entities((0.9, False)), 0.95) is None
    assert threshold([], 0.95) is None


def test_the_summary_is_for_json():
    figures = {"calibration_error": 0.01, "precision": 0.95, "min_score": 0.99, "kept": 1.0}
    assert summarise(entities((0.99, True))) == {
        "curve": [{"scores": [0.98, 1.0], "entities": 1, "mean_score": 0.99, "precision": 1.0}],
        "all": figures,
        "types": {"PER": figures},
    }
    nothing = {"calibration_error": 0.0, "precision": 0.95}
    assert summarise([]) == {"curve": [], "all": nothing, "types": {}}
