"""Each token learns which word of the dictionary it belongs to."""

import numpy as np

from hanner_models.train import word_tags as words

TEXT = "江泽民今天在杭州会见科尔 abc"


def test_a_token_knows_its_place_in_its_word_and_the_words_kind():
    tags = words.tag(TEXT, [(i, i + 1) for i in range(len(TEXT))])
    assert tags.shape == (len(TEXT),)
    places = "".join(words._PLACES[tag % 4] for tag in tags[: len("江泽民今天在杭州会见")])
    assert places == "BMEBESBEBE"
    kinds = [words._PARTS[tag // 4] for tag in tags]
    assert kinds[:3] == ["nr"] * 3
    assert kinds[6:8] == ["ns"] * 2


def test_a_token_of_several_characters_counts_by_its_first():
    each = words.tag(TEXT, [(i, i + 1) for i in range(len(TEXT))])
    start = TEXT.index("abc")
    assert words.tag(TEXT, [(start, start + 3)]).tolist() == [each[start]]


def test_offsets_hold_beyond_the_basic_plane_and_for_no_text():
    text = "😀𠮷马云来了"
    tags = words.tag(text, [(i, i + 1) for i in range(len(text))])
    assert len(tags) == len(text)
    assert (tags >= 0).all()
    assert (tags < words.TAGS).all()
    assert words.tag("", []).dtype == np.int8
