"""INT8 is accepted if all texts together agree with FP32 and no file is worse beyond chance."""

import pytest

from hanner_models.conversion.verify import MIN_AGREEMENT, agreement_problem, pooled_agreement


def figures(**files):
    return {
        name: {"tokens": tokens, "tag_agreement": (tokens - wrong) / tokens} for name, (tokens, wrong) in files.items()
    }


def test_two_wrong_labels_in_a_few_sentences_are_accepted():
    few = figures(built_in=(4000, 4), held_out=(310, 2))
    assert few["held_out"]["tag_agreement"] < MIN_AGREEMENT
    assert agreement_problem(few) is None


@pytest.mark.parametrize("wrong", [15, 60])
def test_file_that_is_worse_beyond_chance_is_named(wrong):
    found = figures(built_in=(400_000, 4), held_out=(310, wrong))
    assert pooled_agreement(found) > MIN_AGREEMENT
    problem = agreement_problem(found)
    assert problem is not None
    assert "310 tokens of held_out" in problem


def test_all_texts_together_must_agree():
    problem = agreement_problem(figures(built_in=(1000, 6), held_out=(300, 2)))
    assert problem == "only 99.38% of the tokens"


def test_files_without_tokens_do_not_count():
    assert agreement_problem({"empty": {"tokens": 0, "tag_agreement": 1.0}}) is None
