"""Classification of errors in hand-made cases."""

import pytest

from hanner_models.data.datasets import Span
from hanner_models.evaluation.error_analysis import MISSED, ErrorCounts

NAME = Span("PER", 2, 5)


def errors(gold, predicted):
    found = ErrorCounts()
    found.add(gold, predicted)
    return found.to_dict()


NONE = {
    "correct": 0,
    "wrong_type": 0,
    "wrong_boundary": {"longer": 0, "shorter": 0, "shifted": 0},
    "wrong_type_and_boundary": 0,
    "missed": 0,
    "invented": 0,
}


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ([NAME], {"correct": 1, "confusion": {"PER": {"PER": 1}}}),
        ([Span("ORG", 2, 5)], {"wrong_type": 1, "confusion": {"PER": {"ORG": 1}}}),
        ([Span("PER", 1, 5)], {"wrong_boundary": {"longer": 1, "shorter": 0, "shifted": 0}}),
        ([Span("PER", 2, 4)], {"wrong_boundary": {"longer": 0, "shorter": 1, "shifted": 0}}),
        ([Span("PER", 4, 7)], {"wrong_boundary": {"longer": 0, "shorter": 0, "shifted": 1}}),
        ([Span("LOC", 4, 7)], {"wrong_type_and_boundary": 1, "confusion": {"PER": {"LOC": 1}}}),
        ([], {"missed": 1, "confusion": {"PER": {MISSED: 1}}}),
        ([Span("PER", 5, 7)], {"missed": 1, "invented": 1, "confusion": {"PER": {MISSED: 1}}}),
        # the largest overlap counts, and entities that overlap are not invented
        ([Span("LOC", 1, 3), Span("PER", 3, 6)], {"wrong_boundary": {"longer": 0, "shorter": 0, "shifted": 1}}),
    ],
)
def test_each_entity_has_one_kind_of_error(predicted, expected):
    assert errors([NAME], predicted) == {**NONE, "confusion": {"PER": {"PER": 1}}, **expected}


def test_kinds_of_errors_sum_to_number_of_entities():
    found = ErrorCounts()
    found.add([Span("PER", 0, 2), Span("LOC", 3, 5), Span("ORG", 6, 9)], [Span("PER", 0, 2), Span("LOC", 3, 9)])
    found.add([Span("PER", 0, 2)], [])
    kinds = found.correct, found.wrong_type, found.boundary.total(), found.wrong_both, found.missed
    assert kinds == (1, 0, 1, 1, 1)
    assert sum(sum(row.values()) for row in found.confusion.values()) == 4
