"""The mentions of one name in a text get one type, where the model is not sure."""

from hypothesis import given
from hypothesis import strategies as st

from hanner.results import Entity
from hanner_inference.decoding.consistency import SURE, agree_on_types


def entities(*mentions):
    return [
        Entity(text=text, type=kind, start=5 * number, end=5 * number + len(text), score=score)
        for number, (text, kind, score) in enumerate(mentions)
    ]


def test_an_unsure_mention_gets_the_type_with_most_votes():
    found = agree_on_types(entities(("杭州市", "LOC", 0.8), ("杭州市", "ORG", 0.6), ("杭州市", "LOC", 0.4)))
    assert [(e.type, e.score) for e in found] == [("LOC", 0.8), ("LOC", 0.4), ("LOC", 0.4)]


def test_a_sure_mention_keeps_its_type():
    mentions = entities(("华盛顿", "PER", 0.95), ("华盛顿", "LOC", 0.99), ("华盛顿", "LOC", 0.99))
    assert agree_on_types(mentions) == mentions


def test_other_names_do_not_vote():
    mentions = entities(("杭州", "LOC", 0.9), ("杭州市", "ORG", 0.5))
    assert agree_on_types(mentions) == mentions


def test_of_equal_votes_the_first_type_is_chosen():
    found = agree_on_types(entities(("阿里", "ORG", 0.5), ("阿里", "LOC", 0.5)))
    assert [(e.type, e.score) for e in found] == [("ORG", 0.5), ("ORG", 0.25)]


MENTION = st.tuples(st.sampled_from(["甲", "乙乙"]), st.sampled_from(["PER", "LOC", "ORG"]), st.floats(0, 1))


@given(st.lists(MENTION, max_size=8))
def test_positions_stay_and_unsure_mentions_of_a_name_agree(mentions):
    before = entities(*mentions)
    after = agree_on_types(before)
    assert [(e.text, e.start, e.end) for e in after] == [(e.text, e.start, e.end) for e in before]
    assert all(0 <= e.score <= 1 for e in after)
    for name in ("甲", "乙乙"):
        unsure = {new.type for old, new in zip(before, after, strict=True) if old.text == name and old.score < SURE}
        assert len(unsure) < 2
