"""Groups respect every limit and contain every index once."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from hanner_inference.grouping import group_by_length

limits = st.fixed_dictionaries(
    {"max_rows": st.integers(1, 40), "max_tokens": st.integers(1, 3000), "max_padding": st.floats(0, 0.9)}
)


@given(st.lists(st.integers(1, 512), max_size=200), limits)
def test_every_group_respects_the_limits(lengths, limits):
    groups = group_by_length(lengths, **limits)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        cost = max(lengths[i] for i in group) * len(group)
        assert len(group) <= limits["max_rows"]
        assert cost <= limits["max_tokens"] or len(group) == 1
        assert cost - sum(lengths[i] for i in group) <= limits["max_padding"] * cost + 1e-6


@given(st.lists(st.integers(1, 512), max_size=200), limits)
def test_every_group_is_as_large_as_possible(lengths, limits):
    groups = group_by_length(lengths, **limits)
    for group, following in itertools.pairwise(groups):
        wider = [*group, following[0]]
        cost = lengths[group[0]] * len(wider)
        padding = cost - sum(lengths[i] for i in wider)
        full = len(wider) > limits["max_rows"] or cost > limits["max_tokens"]
        assert full or padding > limits["max_padding"] * cost


def test_similar_lengths_are_grouped():
    assert group_by_length([10, 40, 10, 39, 9], max_rows=32, max_tokens=2048, max_padding=0.1) == [[1, 3], [0, 2, 4]]


def test_a_row_over_the_limit_is_a_group_of_its_own():
    assert group_by_length([600, 5], max_rows=32, max_tokens=512, max_padding=0.9) == [[0], [1]]
