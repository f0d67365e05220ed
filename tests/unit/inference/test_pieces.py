"""Windows are split into pieces, and every character knows its piece."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner_inference.engine.base import Batch
from hanner_inference.tokenization.normalise import compatible_form
from hanner_inference.tokenization.pieces import PLACES, UNKNOWN, PieceTokenizer, locate_characters
from hanner_inference.tokenization.windows import Window
from hanner_models.source.teacher import piece_options
from support.piece_packages import tiny_pieces

CHARACTERS = [*"马云在杭州阿里巴总部发表演讲Aa1,", "𠮷"]
difficult_text = st.text(
    st.characters(codec="utf-8") | st.sampled_from("\0\u200d\ufe0f👨👩é\u0301Å㎏ﬁ\ue000　Ａ马云 \n\u2028\U0010ffff𠮷▁")
)


@pytest.fixture(scope="module")
def tokenizer():
    return PieceTokenizer(tiny_pieces().to_str(), piece_options(62), CHARACTERS)


def whole(text):
    return Window(0, len(text), 0, len(text))


@given(text=difficult_text)
def test_every_code_point_is_one_character_of_the_row(tokenizer, text):
    tokens = tokenizer.encode(text)
    row = tokenizer.encode_window(text)
    ids, owners, places = row.characters
    assert len(ids) == len(owners) == len(places) == len(text)
    assert len(row) <= len(text) + 3
    assert (row.ids[0], row.ids[-1]) == (2, 3)
    assert (row.ids[1:-1] != 2).all()
    assert (row.ids[1:-1] != 3).all()
    assert ((owners >= 1) & (owners <= len(row) - 2)).all()
    assert ((places >= 0) & (places < PLACES)).all()
    assert (np.diff(owners) >= 0).all()
    if len(tokens):
        assert tokens.ids.tolist() == ids.tolist()
        assert tokens.starts.tolist() == list(range(len(text)))
        assert (tokens.ends - tokens.starts == 1).all()


def test_characters_share_the_piece_of_their_word(tokenizer):
    text = "马云在杭州阿里巴巴 A"
    row = tokenizer.row(text, tokenizer.encode(text), whole(text))
    vocabulary = {number: piece for piece, number in tiny_pieces().get_vocab().items()}
    assert [vocabulary[i] for i in row.ids[1:-1]] == ["▁", "马云", "在", "杭州", "阿里巴巴", "▁", "A"]
    ids, owners, places = row.characters
    assert owners.tolist() == [2, 2, 3, 4, 4, 5, 5, 5, 5, 6, 7]
    assert places.tolist() == [0, 1, 0, 0, 1, 0, 1, 2, 3, 0, 0]
    assert ids.tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 9, UNKNOWN, 16]


def test_a_window_has_the_pieces_of_its_own_text(tokenizer):
    text = "马云在杭州阿里巴巴总部"
    window = Window(4, 9, 5, 9)
    row = tokenizer.row(text, tokenizer.encode(text), window)
    alone = tokenizer.encode_window(text[4:9])
    assert row.ids.tolist() == alone.ids.tolist()
    assert row.characters.tolist() == alone.characters.tolist()


def test_astral_and_unknown_characters_have_their_ids(tokenizer):
    assert tokenizer.encode("𠮷😀a").ids.tolist() == [CHARACTERS.index("𠮷") + 2, UNKNOWN, CHARACTERS.index("a") + 2]


@pytest.mark.parametrize("text", ["", " ", "\n\t　", "\0", "\u200b \u2028"])
def test_texts_without_a_visible_character_have_no_tokens(tokenizer, text):
    assert len(tokenizer.encode(text)) == 0


def test_texts_are_read_in_compatible_form(tokenizer):
    assert tokenizer.is_same("ａＡ１，", "aA1,")
    assert not tokenizer.is_same("a", "A")
    assert not tokenizer.is_same("馬雲", "马云")
    folding = piece_options(62).model_copy(update={"fold_traditional": True})
    assert PieceTokenizer(tiny_pieces().to_str(), folding, CHARACTERS).is_same("馬雲", "马云")


@given(text=difficult_text)
def test_the_compatible_form_has_as_many_code_points(text):
    form = compatible_form(text)
    assert len(form) == len(text)
    assert compatible_form(form) == form
    assert not any(character.isspace() and character != " " for character in form)


def test_characters_of_overlapping_pieces_belong_to_the_last():
    owners, places = locate_characters([(0, 1), (0, 3), (4, 14)], 15)
    assert owners.tolist() == [2, 2, 2, 0, *[3] * 10, 0]
    assert places.tolist() == [0, 1, 2, 0, *range(8), 7, 7, 0]


def test_special_pieces_are_not_found_in_a_text(tokenizer):
    row = tokenizer.encode_window("<s>a</s><pad><unk> <pad>")
    assert not {0, 2, 3} & set(row.ids[1:-1].tolist())


def test_a_batch_pads_tokens_and_characters_separately(tokenizer):
    rows = [tokenizer.encode_window(text) for text in ("阿里巴巴阿里巴巴", "马在云", "a")]
    batch = Batch.from_rows(rows)
    assert batch.input_ids.shape == (3, 6)
    assert batch.characters.ids.shape == (3, 8)
    assert batch.lengths.tolist() == [5, 6, 4]
    assert batch.characters.lengths.tolist() == [8, 3, 1]
    part = batch.part(slice(1, 3))
    assert (part.input_ids.shape, part.characters.owners.shape) == ((2, 6), (2, 3))
    scores, counts = part.without_special(np.ones((2, 3, 7), dtype=np.float32))
    assert (scores.shape, counts.tolist()) == ((2, 3, 7), [3, 1])


@pytest.mark.parametrize(
    ("content", "characters", "why"),
    [
        ("{}", CHARACTERS, "not a tokenizer"),
        (tiny_pieces().to_str(), ["ab"], "its characters include 'ab'"),
        (tiny_pieces().to_str(), ["a", ""], "its characters include ''"),
    ],
)
def test_an_invalid_tokenizer_is_rejected(content, characters, why):
    with pytest.raises(ValueError, match=why):
        PieceTokenizer(content, piece_options(62), characters)


def test_the_tokenizer_does_not_cache_sentences(tokenizer):
    model = json.loads(tokenizer._tokenizer.to_str())["model"]
    assert model["type"] == "Unigram"
    resized = []
    fake = type("Fake", (), {"model": type("Model", (), {"_resize_cache": resized.append})})
    from hanner_inference.tokenization.pieces import disable_cache  # noqa: PLC0415

    disable_cache(fake)
    assert resized == [0]
