"""Valid and invalid tagging schemes."""

import pytest

from hanner_inference.decoding.labels import MAX_LABELS, Labels


@pytest.mark.parametrize(
    "names",
    [
        ["O", "B-PER", "I-PER"],
        ["B-PER", "O"],
        ["S-PER", "B-PER", "E-PER", "O", "I-PER"],
        ["O", "B-a-b", "M-a-b", "E-a-b", "S-a-b"],
    ],
)
def test_known_schemes_are_accepted(names):
    assert len(Labels(names)) == len(names)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ([], "label O is missing"),
        (["O"], "no label marks an entity"),
        (["O", "O", "B-PER"], "label O is listed twice"),
        (["B-PER", "I-PER"], "label O is missing"),
        (["O", "PER"], "'PER' is not O or one of"),
        (["O", "B-"], "'B' is not O or one of"),
        (["O", "BI-PER"], "'BI-PER' is not O or one of"),
        (["O", "-PER"], "'-PER' is not O or one of"),
        (["O", "B-PER", "I-PER", "M-PER"], "the label prefixes .* belong to different schemes; use one of BIO"),
        (["O", "B-PER", "I-LOC"], "type LOC has no label B-LOC"),
        (["O", *(f"B-{n}" for n in range(200_000))], "there are 200,001 labels, and the limit is 2,048"),
    ],
)
def test_other_names_are_rejected_with_the_reason(names, why):
    with pytest.raises(ValueError, match=why):
        Labels(names)


def test_labels_continue_an_open_entity_of_their_type():
    labels = Labels(["O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC"])
    continued = {(labels.names[i], labels.names[j]) for i, j in zip(*labels.continues.nonzero(), strict=True)}
    assert continued == {
        (f"{opened}-{kind}", f"{inside}-{kind}") for opened in "BI" for inside in "IE" for kind in ("PER", "LOC")
    }


def test_the_maximum_number_of_labels_is_accepted():
    assert len(Labels(["O", *(f"B-{n}" for n in range(MAX_LABELS - 1))])) == MAX_LABELS
