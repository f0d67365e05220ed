"""What is a tagging scheme and what is not."""

import pytest

from hanner_inference.decoding.labels import Labels


@pytest.mark.parametrize(
    "names",
    [
        ["O", "B-PER", "I-PER"],
        ["B-PER", "O"],
        ["S-PER", "B-PER", "E-PER", "O", "I-PER"],
        ["O", "B-a-b", "M-a-b", "E-a-b", "S-a-b"],
    ],
)
def test_known_schemes_are_read(names):
    assert len(Labels(names)) == len(names)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ([], "no label O"),
        (["O"], "no label of an entity"),
        (["O", "O", "B-PER"], "twice"),
        (["B-PER", "I-PER"], "no label O"),
        (["O", "PER"], "'PER' is not O or one of"),
        (["O", "B-"], "'B' is not O or one of"),
        (["O", "BI-PER"], "'BI-PER' is not O or one of"),
        (["O", "-PER"], "'-PER' is not O or one of"),
        (["O", "B-PER", "I-PER", "M-PER"], "mix schemes"),
        (["O", "B-PER", "I-LOC"], "type LOC has no label B-LOC"),
    ],
)
def test_anything_else_is_refused_with_the_reason(names, why):
    with pytest.raises(ValueError, match=why):
        Labels(names)
