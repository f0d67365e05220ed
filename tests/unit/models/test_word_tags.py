"""Tags of the words that tokens belong to."""

import numpy as np

from hanner_models.train import word_tags

TEXT = "江泽民今天在杭州会见科尔 abc"


def test_tag_has_position_in_word_and_part_of_speech():
    tags = word_tags.tag_words(TEXT, [(i, i + 1) for i in range(len(TEXT))])
    assert tags.shape == (len(TEXT),)
    positions = "".join(word_tags._POSITIONS[tag % 4] for tag in tags[: len("江泽民今天在杭州会见")])
    assert positions == "BMEBESBEBE"
    kinds = [word_tags._PARTS_OF_SPEECH[tag // 4] for tag in tags]
    assert kinds[:3] == ["nr"] * 3
    assert kinds[6:8] == ["ns"] * 2


def test_first_character_determines_tag_of_token():
    each = word_tags.tag_words(TEXT, [(i, i + 1) for i in range(len(TEXT))])
    start = TEXT.index("abc")
    assert word_tags.tag_words(TEXT, [(start, start + 3)]).tolist() == [each[start]]


def test_offsets_work_with_astral_characters_and_empty_text():
    text = "😀𠮷马云来了"
    tags = word_tags.tag_words(text, [(i, i + 1) for i in range(len(text))])
    assert len(tags) == len(text)
    assert (tags >= 0).all()
    assert (tags < word_tags.TAG_COUNT).all()
    assert word_tags.tag_words("", []).dtype == np.int8
