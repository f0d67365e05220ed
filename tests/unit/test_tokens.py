"""Tokens stand where their characters stand, whatever the text."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.packages import tiny_tokenizer
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel

from nerq_worker.text.tokens import TextTokenizer

OPTIONS = SimpleNamespace(half_width=True, lowercase=True, cls_id=None, sep_id=None)


def with_byte_level():
    alphabet = {character: number for number, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(WordLevel({**alphabet, "[UNK]": 256, "[CLS]": 257, "[SEP]": 258}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFKD()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), pre_tokenizers.Split("", "isolated")]
    )
    return tokenizer


TOKENIZERS = {
    "bert": TextTokenizer(tiny_tokenizer().to_str(), OPTIONS),
    "bytes": TextTokenizer(with_byte_level().to_str(), OPTIONS),
}
hard = st.text(st.characters(codec="utf-8") | st.sampled_from("\0\u200d\ufe0f👨👩é\u0301Å㎏ﬁ\ue000　Ａ马云 \n\u2028\U0010ffff"))


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=hard)
def test_offsets_never_fall_and_stay_inside(name, text):
    tokens = TOKENIZERS[name].encode(text)
    assert len(tokens.ids) == len(tokens.starts) == len(tokens.ends)
    assert (np.diff(tokens.starts) >= 0).all()
    assert (np.diff(tokens.ends) >= 0).all()
    assert (tokens.starts < tokens.ends).all()
    if len(tokens):
        assert 0 <= tokens.starts[0]
        assert tokens.ends[-1] <= len(text)


@given(hard)
def test_tokens_say_what_stands_there(text):
    for start, end in zip(*(TOKENIZERS["bert"].encode(text).starts, TOKENIZERS["bert"].encode(text).ends), strict=True):
        assert text[start:end].strip(" \n\t")


@pytest.mark.parametrize("text", ["", " ", "\n\t　", "\0"])
def test_blank_texts_have_no_tokens(text):
    assert len(TOKENIZERS["bert"].encode(text)) == 0


def test_latin_words_become_pieces_with_their_own_places():
    tokens = TOKENIZERS["bert"].encode("马 Ｔｅｓ")
    assert list(zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)) == [(0, 1), (2, 3), (3, 4), (4, 5)]


@pytest.mark.parametrize(
    ("json", "given", "why"),
    [
        ("{}", {}, "not a tokenizer"),
        (Tokenizer(WordLevel({"a": 0}, unk_token="a")).to_str(), {}, r"no token \[CLS\]"),
        (tiny_tokenizer().to_str(), {"sep_id": 1_000_000}, r"\[SEP\] cannot be 1000000"),
    ],
)
def test_a_tokenizer_that_cannot_be_used_is_refused(json, given, why):
    with pytest.raises(ValueError, match=why):
        TextTokenizer(json, SimpleNamespace(**{**vars(OPTIONS), **given}))


def test_ids_of_the_options_win():
    tokenizer = TextTokenizer(tiny_tokenizer().to_str(), SimpleNamespace(**{**vars(OPTIONS), "cls_id": 7}))
    assert (tokenizer.cls_id, tokenizer.sep_id) == (7, 3)
