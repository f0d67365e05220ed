"""A vocabulary without the pieces that no text has gives the same tokens for every text."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from hanner_inference.tokenization.options import TokenizerOptions
from hanner_inference.tokenization.windows import Window
from hanner_models.conversion.wordpieces import drop_unreachable_pieces
from hanner_models.source import Source
from support.encoders import SHAPE, WITH_BIGRAMS

TABLE = "embeddings.word_embeddings.weight"
SPECIAL = ["[PAD]", "[unused1]", "[unused2]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*"ab1,，《中国豈\uf900e", "abc", "ABC", "中国", "a,b", "\u1112", "a\u0301", "caf\u00e9", "cafe", "…"]
CONTINUED = [*"ab1,中国\uf900e", "bc", "中国", "1-2", "\u1161", "\u11ab", "\u0301", "É", "é", " x"]
PIECES = [*SPECIAL, *WORDS, *(f"##{piece}" for piece in CONTINUED)]
CHARACTERS = sorted({*"".join((*WORDS, *CONTINUED)), *" \t\u3000[]#UNKz字한😀"})
TEXTS = st.text(st.sampled_from(CHARACTERS)) | st.text()


def bert(pieces=PIECES, **options) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def tagger(tokenizer, split="words", *, shape=SHAPE, ids=(None, None)) -> Source:
    """Return a tagger whose embedding of a piece is its number in PIECES."""
    return Source(
        weights={TABLE: np.arange(tokenizer.get_vocab_size(), dtype=np.float32)[:, None]},
        shape=shape,
        labels=("O",),
        tokenizer=tokenizer.to_str(),
        options=TokenizerOptions(
            lowercase=False, half_width=False, max_length=512, split=split, cls_id=ids[0], sep_id=ids[1]
        ),
    )


def vocabulary(source) -> dict[str, int]:
    return json.loads(source.tokenizer)["model"]["vocab"]


def embedded(source, tokenizer, text) -> list[float]:
    """Return the embeddings of the tokens of a text with special tokens."""
    tokens = tokenizer.encode(text)
    ids = tokenizer.row(text, tokens, Window(0, len(tokens), 0, len(tokens))).ids
    return source.weights[TABLE][ids, 0].tolist()


VARIANTS = [
    ("words", {"lowercase": True}),
    ("words", {"lowercase": False, "strip_accents": False}),
    ("words", {"lowercase": True, "strip_accents": False}),
    ("words", {"lowercase": False, "handle_chinese_chars": False}),
    ("characters", {"lowercase": True}),
]


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def pair(request):
    """A tagger with all pieces and one without the unreachable ones, each with its tokenizer."""
    split, options = request.param
    old = tagger(bert(**options), split, ids=(4, 5))
    new = drop_unreachable_pieces(old)
    return old, old.make_tokenizer(), new, new.make_tokenizer()


@given(TEXTS)
def test_every_text_has_the_same_embeddings(pair, text):
    old, old_tokenizer, new, new_tokenizer = pair
    assert embedded(new, new_tokenizer, text) == embedded(old, old_tokenizer, text)


def test_pieces_with_an_ideograph_or_punctuation_beside_another_character_are_dropped():
    source = tagger(bert(lowercase=True))
    dropped = set(PIECES) - vocabulary(drop_unreachable_pieces(source)).keys()
    ideographs = {"中国", "##中", "##国", "##\uf900", "##中国"}
    assert dropped == ideographs | {"[unused1]", "[unused2]", "a,b", "##,", "##1-2", "## x"}


def test_ideographs_within_words_are_kept_if_the_tokenizer_does_not_split_there():
    source = tagger(bert(handle_chinese_chars=False))
    assert {"中国", "##中"} <= vocabulary(drop_unreachable_pieces(source)).keys()


def test_only_what_single_characters_need_is_kept_if_texts_are_split_into_characters():
    kept = vocabulary(drop_unreachable_pieces(tagger(bert(lowercase=True), "characters")))
    several = {"\u1112", "##\u1161", "##\u11ab"}  # a syllable of Hangul
    assert kept.keys() == {*SPECIAL} - {"[unused1]", "[unused2]"} | {*"ab1,，《中国豈e…"} | several


def test_numbers_are_consecutive_and_special_tokens_are_found_by_their_new_ones():
    new = drop_unreachable_pieces(tagger(bert(), ids=(4, 5)))
    assert sorted(vocabulary(new).values()) == list(range(len(new.weights[TABLE])))
    assert (new.options.cls_id, new.options.sep_id) == (vocabulary(new)["[CLS]"], vocabulary(new)["[SEP]"])
    assert new.weights[TABLE][[new.options.cls_id, new.options.sep_id], 0].tolist() == [4, 5]


def test_other_special_tokens_than_berts_are_kept():
    pieces = ["[PAD]", "[unused1]", "[unused2]", "[UNK]", "a"]
    new = drop_unreachable_pieces(tagger(bert(pieces), ids=(1, 2)))
    assert vocabulary(new) == {piece: number for number, piece in enumerate(pieces)}


def test_taggers_that_depend_on_the_ids_or_have_another_tokenizer_are_unchanged():
    with_bigrams = tagger(bert(), shape=WITH_BIGRAMS)
    assert drop_unreachable_pieces(with_bigrams) is with_bigrams
    other = bert()
    other.pre_tokenizer = pre_tokenizers.Whitespace()
    other = tagger(other)
    assert drop_unreachable_pieces(other) is other
    added = bert()
    added.add_tokens(["国家"])
    added = tagger(added)
    assert drop_unreachable_pieces(added) is added


def test_a_tagger_without_unreachable_pieces_keeps_its_vocabulary():
    once = drop_unreachable_pieces(tagger(bert()))
    assert vocabulary(drop_unreachable_pieces(once)) == vocabulary(once)
