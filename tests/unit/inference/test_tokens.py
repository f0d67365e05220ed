"""Token positions match the characters of any text."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel

from hanner_inference.tokenization.normalise import normalise
from hanner_inference.tokenization.options import TokenizerOptions
from hanner_inference.tokenization.tokens import WordTokenizer
from support.packages import tiny_tokenizer

OPTIONS = TokenizerOptions(half_width=True, lowercase=True, max_length=64)


def with_byte_level():
    alphabet = {character: number for number, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(WordLevel({**alphabet, "[UNK]": 256, "[CLS]": 257, "[SEP]": 258}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFKD()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), pre_tokenizers.Split("", "isolated")]
    )
    return tokenizer


TOKENIZERS = {
    "bert": WordTokenizer(tiny_tokenizer().to_str(), OPTIONS),
    "bytes": WordTokenizer(with_byte_level().to_str(), OPTIONS),
}
difficult_text = st.text(
    st.characters(codec="utf-8") | st.sampled_from("\0\u200d\ufe0f👨👩é\u0301Å㎏ﬁ\ue000　Ａ马云 \n\u2028\U0010ffff")
)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=difficult_text)
def test_offsets_never_decrease_and_stay_inside_the_text(name, text):
    tokens = TOKENIZERS[name].encode(text)
    assert len(tokens.ids) == len(tokens.starts) == len(tokens.ends)
    assert (np.diff(tokens.starts) >= 0).all()
    assert (np.diff(tokens.ends) >= 0).all()
    assert (tokens.starts < tokens.ends).all()
    if len(tokens):
        assert tokens.starts[0] >= 0
        assert tokens.ends[-1] <= len(text)


@pytest.mark.parametrize("part", ["马云，在。杭州 阿里\n巴", "无标点", "Hello, world ", "。\u3099", " \u0301é，", "x"])
def test_a_long_text_encoded_in_pieces_has_the_same_tokens(part):
    text = (part * 20_000)[:20_000]
    tokens = TOKENIZERS["bert"].encode(text)
    whole = tiny_tokenizer().encode(text.lower(), add_special_tokens=False)
    assert tokens.ids.tolist() == whole.ids
    assert list(zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)) == whole.offsets


runs = st.lists(
    st.sampled_from(
        ["马云", "在", "，", "。", "“", "…", "·", "～", "a1", "Hello", " ", "\n", "\u0301", "é", "[CLS]", "##云"]
    )
    | difficult_text
)


@given(parts=runs)
def test_the_character_table_gives_the_same_tokens_as_the_tokenizer(parts):
    text = "".join(parts)
    tokens = TOKENIZERS["bert"].encode(text)
    whole = TOKENIZERS["bert"]._encode(normalise(text, half_width=True, lowercase=True))
    nonempty = whole[whole[:, 2] > whole[:, 1]]
    assert tokens.ids.tolist() == nonempty[:, 0].tolist()
    assert tokens.starts.tolist() == nonempty[:, 1].tolist()
    assert tokens.ends.tolist() == nonempty[:, 2].tolist()


def test_only_a_bert_tokenizer_has_a_character_table():
    assert TOKENIZERS["bytes"]._char_table is None
    assert (TOKENIZERS["bert"]._char_table >= 0).sum() > 20_000
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["马云"])
    assert WordTokenizer(tokenizer.to_str(), OPTIONS)._char_table is None


def test_decreasing_and_empty_offsets_are_corrected(monkeypatch):
    tokenizer = WordTokenizer(tiny_tokenizer().to_str(), OPTIONS)
    encoding = SimpleNamespace(ids=[5, 6, 7, 8, 9], offsets=[(0, 0), (1, 2), (0, 3), (3, 9), (9, 9)])
    monkeypatch.setattr(tokenizer, "_tokenizer", SimpleNamespace(encode=lambda text, add_special_tokens: encoding))
    tokens = tokenizer.encode("abcd")
    assert tokens.ids.tolist() == [6, 7, 8]
    assert list(zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)) == [(1, 2), (1, 3), (3, 4)]


@given(difficult_text)
def test_no_token_is_only_whitespace(text):
    tokens = TOKENIZERS["bert"].encode(text)
    for start, end in zip(tokens.starts, tokens.ends, strict=True):
        assert text[start:end].strip(" \n\t")


@pytest.mark.parametrize("text", ["", " ", "\n\t　", "\0"])
def test_blank_texts_have_no_tokens(text):
    assert len(TOKENIZERS["bert"].encode(text)) == 0


def test_pieces_of_latin_words_have_their_own_positions():
    tokens = TOKENIZERS["bert"].encode("马 Ｔｅｓ")
    assert list(zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)) == [(0, 1), (2, 3), (3, 4), (4, 5)]


@pytest.mark.parametrize(
    ("json", "given", "why"),
    [
        ("{}", {}, "not a tokenizer"),
        (Tokenizer(WordLevel({"a": 0}, unk_token="a")).to_str(), {}, r"no token \[CLS\]"),
        (tiny_tokenizer().to_str(), {"sep_id": 1_000_000}, r"\[SEP\] cannot have id 1000000"),
    ],
)
def test_an_invalid_tokenizer_is_rejected(json, given, why):
    with pytest.raises(ValueError, match=why):
        WordTokenizer(json, OPTIONS.model_copy(update=given))


def test_ids_of_the_options_override_the_tokenizer():
    tokenizer = WordTokenizer(tiny_tokenizer().to_str(), OPTIONS.model_copy(update={"cls_id": 7}))
    assert (tokenizer.cls_id, tokenizer.sep_id) == (7, 3)


def test_label_mask_first_labels_only_the_first_piece_of_a_word():
    tokenizer = WordTokenizer(tiny_tokenizer().to_str(), OPTIONS.model_copy(update={"label_mask": "first"}))
    tokens = tokenizer.encode("马云2011 abc")
    assert [tokens.starts[index] for index in tokens.labelled] == [0, 1, 2, 7]
    assert len(tokens) == 9
    long = tokenizer.encode("马云2011 abc。" * 2000)
    assert len(long.labelled) == 5 * 2000


def test_split_characters_encodes_each_character_and_maps_dropped_ones_to_unk():
    options = OPTIONS.model_copy(update={"split": "characters", "label_mask": "first"})
    tokens = WordTokenizer(tiny_tokenizer().to_str(), options).encode("马20\u0301 \0龘")
    unknown = tiny_tokenizer().token_to_id("[UNK]")
    assert tokens.starts.tolist() == tokens.labelled.tolist() == list(range(7))
    assert tokens.ends.tolist() == list(range(1, 8))
    assert (tokens.ids == unknown).tolist() == [False, False, False, True, True, True, True]
