"""Tokenizer and batches of training: tags stand on names, steps can be repeated, budgets hold. No torch."""

import numpy as np
import pytest

from hanner_models.data.datasets import Sentence, Span
from hanner_models.train import pretrain
from hanner_models.train import word_tags as words
from hanner_models.train.config import PretrainConfig, TagConfig
from hanner_models.train.examples import LABELS, Corpus, Examples, encode
from hanner_models.train.vocabulary import build_tokenizer, special_ids

TEXTS = ["马云在杭州阿里巴巴总部发表演讲。", "王小明2011年到了ibm公司", "今天天气很好，我们去看电影。"]
SENTENCES = [
    Sentence(TEXTS[0], (Span("PER", 0, 2), Span("LOC", 3, 5), Span("ORG", 5, 9))),
    Sentence("王小明２０１１年到了IBM公司", (Span("PER", 0, 3), Span("ORG", 10, 15))),
    Sentence(TEXTS[2], ()),
]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(TEXTS * 3, known=["鑫", "\n", ""], at_least=3)


def read_back(rows, number):
    """Return the names that a row's tags say, as ids."""
    names, tags = [], rows.tags[number]
    for place, tag in enumerate(tags):
        if LABELS[tag].startswith("B-"):
            names.append((LABELS[tag][2:], 1))
        elif LABELS[tag].startswith("I-"):
            assert tags[place - 1] in (tag, tag - 1)
            names[-1] = (names[-1][0], names[-1][1] + 1)
    return names


def test_every_character_of_the_texts_is_known_and_rare_ones_with_vectors_too(tokenizer):
    for text in [*TEXTS, "鑫"]:
        assert "[UNK]" not in tokenizer.encode(text, add_special_tokens=False).tokens
    assert tokenizer.encode("犇", add_special_tokens=False).tokens == ["[UNK]"]
    assert list(special_ids(tokenizer).values()) == [0, 1, 2, 3, 4]


def test_latin_words_and_numbers_become_pieces_never_unknown(tokenizer):
    assert "[UNK]" not in tokenizer.encode("zq9x 0a", add_special_tokens=False).tokens


def test_tags_stand_on_the_names_whatever_their_width(tokenizer):
    rows = encode(tokenizer, SENTENCES, most=64)
    assert read_back(rows, 0) == [("PER", 2), ("LOC", 2), ("ORG", 4)]
    assert [kind for kind, _ in read_back(rows, 1)] == ["PER", "ORG"]
    assert read_back(rows, 2) == []
    special = special_ids(tokenizer)
    for row, count in zip(rows.input_ids, rows.attention_mask.sum(1), strict=True):
        assert row[0] == special["[CLS]"]
        assert row[count - 1] == special["[SEP]"]
        assert (row[count:] == special["[PAD]"]).all()


def test_rows_are_cut_where_the_model_ends(tokenizer):
    rows = encode(tokenizer, SENTENCES, most=8)
    assert rows.input_ids.shape == (3, 8)
    assert read_back(rows, 0) == [("PER", 2), ("LOC", 2), ("ORG", 1)]


def examples(tokenizer, **changes):
    config = TagConfig(corpora=(), dev=(), steps=1, batch_tokens=100, **changes)
    corpora = [Corpus(SENTENCES * 20, 1.5, auxiliary=False), Corpus(SENTENCES, 1.0, auxiliary=True)]
    return Examples(corpora, {"PER": [["李雷"]]}, tokenizer, config, max_length=64, seed=1)


def test_a_step_is_the_same_whenever_it_is_asked_for(tokenizer):
    whole = examples(tokenizer)
    steps = [whole.step(number) for number in range(60)]
    resumed = examples(tokenizer)
    for number in (7, 59):
        rows, auxiliary = resumed.step(number)
        assert auxiliary == steps[number][1]
        for one, other in zip(rows, steps[number][0], strict=True):
            np.testing.assert_array_equal(one, other)


def test_batches_hold_to_their_budget_and_both_heads_get_some(tokenizer):
    drawn = list(map(examples(tokenizer).step, range(60)))
    assert all(rows.input_ids.size <= 130 for rows, _ in drawn)  # augmentation may lengthen a name after grouping
    assert {auxiliary for _, auxiliary in drawn} == {True, False}


def test_masking_hides_a_share_of_the_tokens_and_asks_for_exactly_those(tokenizer):
    config = PretrainConfig(texts=(), steps=1, batch_tokens=8192, length=64, mask_share=0.2)
    streams = [pretrain.tokenise(tokenizer, TEXTS * 50, 1.0)]
    ids, targets, tags = pretrain.batch(streams, config, tokenizer, np.random.default_rng(0))
    assert ids.shape == targets.shape == tags.shape == (128, 64)
    assert (tags == words.IGNORED).all()
    asked = targets != words.IGNORED
    assert 0.14 < asked.mean() < 0.26
    hidden = ids == special_ids(tokenizer)["[MASK]"]
    assert (hidden <= asked).all()
    assert 0.7 < hidden.sum() / asked.sum() < 0.9
    special = special_ids(tokenizer)
    assert not np.isin(targets, [special["[CLS]"], special["[SEP]"], special["[PAD]"]]).any()


def test_tags_of_words_stand_where_their_tokens_do(tokenizer):
    config = PretrainConfig(texts=(), steps=1, batch_tokens=8192, length=64, mask_share=0.2)
    plain, tagged = (pretrain.tokenise(tokenizer, TEXTS * 50, 1.0, with_words=on) for on in (False, True))
    separators = plain.ids == special_ids(tokenizer)["[SEP]"]
    assert ((tagged.words == words.IGNORED) == separators).all()
    ids, targets, tags = pretrain.batch([tagged], config, tokenizer, np.random.default_rng(0))
    whole = np.where(targets == words.IGNORED, ids, targets)
    special = [special_ids(tokenizer)[name] for name in ("[CLS]", "[SEP]", "[PAD]")]
    assert ((tags == words.IGNORED) == np.isin(whole, special)).all()
