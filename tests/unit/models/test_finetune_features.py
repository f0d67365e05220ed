"""Batches of a fine-tune: ids and tags as at inference. No torch."""

import numpy as np
import pytest

from hanner_inference.decoding.labels import Labels
from hanner_inference.decoding.spans import span_bounds
from hanner_inference.tokenization.options import TokenizerOptions
from hanner_models.data.datasets import Sentence, Span
from hanner_models.finetune.features import UNLABELLED, TokenFeatures, drop_nested, label_prefixes, make_features
from hanner_models.source import Source
from hanner_models.source.teacher import piece_options
from support.encoders import SHAPE, WITH_CHARACTERS
from support.packages import BIO, tiny_tokenizer
from support.piece_packages import tiny_pieces

BIES = ("O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC", "ORG") for prefix in "BIES"))
SENTENCES = [
    Sentence("马云在杭州阿里巴巴", (Span("PER", 0, 2), Span("LOC", 3, 5), Span("ORG", 5, 9))),
    Sentence("王 ＩＢＭ公司", (Span("PER", 0, 1), Span("ORG", 2, 7))),
    Sentence("没有", ()),
]


def make_builder(labels=BIO, max_length=32, **options):
    options = TokenizerOptions(lowercase=True, half_width=True, max_length=max_length, **options)
    return TokenFeatures(Source({}, SHAPE, labels, tiny_tokenizer().to_str(), options))


def decode_tags(tags, labels):
    """Return type, first and last labelled token of each entity in tags."""
    kept = tags[tags != UNLABELLED][None]
    _, starts, ends = span_bounds(kept, Labels(labels))
    kinds = Labels(labels).types
    return [(kinds[kept[0, start]], int(start), int(end)) for start, end in zip(starts, ends, strict=True)]


@pytest.mark.parametrize("labels", [BIO, BIES])
def test_tags_mark_entities_in_any_scheme(labels):
    rows = make_builder(labels).build(SENTENCES)
    assert decode_tags(rows.tags[0], labels) == [("PER", 0, 2), ("LOC", 3, 5), ("ORG", 5, 9)]
    assert [kind for kind, _, _ in decode_tags(rows.tags[1], labels)] == ["PER", "ORG"]
    assert decode_tags(rows.tags[2], labels) == []


@pytest.mark.parametrize("labels", [BIO, BIES])
def test_characters_of_word_pieces_are_labelled_as_they_stand(labels):
    source = Source({}, WITH_CHARACTERS, labels, tiny_pieces().to_str(), piece_options(30), characters=("马", "云"))
    features = make_features(source)
    batch = features.build(SENTENCES)
    assert batch.lengths.tolist() == [len(sentence.text) for sentence in SENTENCES]
    assert batch.characters[0, :3].tolist() == [2, 3, 1]
    assert batch.owners[0, :2].tolist() == [2, 2]  # 马云 is one piece, the second after the space that is added
    for tags, length, sentence in zip(batch.tags, batch.lengths, SENTENCES, strict=True):
        expected = [(span.type, span.start, span.end) for span in sentence.spans]
        assert decode_tags(tags[:length], labels) == expected
    assert [part.text for part in features.prepare([Sentence("马云" * 20, ()), Sentence(" ", ())])] == [
        "马云" * 15,
        "马云" * 5,
    ]


def test_padding_is_unlabelled_and_masked():
    rows = make_builder().build(SENTENCES)
    count = int(rows.attention_mask[2].sum())
    assert count == 4  # two characters and two special tokens
    assert (rows.tags[2, count - 2 :] == UNLABELLED).all()
    assert (rows.input_ids[2, count:] == 0).all()
    tokenizer = tiny_tokenizer()
    assert rows.input_ids[2, 0] == tokenizer.token_to_id("[CLS]")
    assert rows.input_ids[2, count - 1] == tokenizer.token_to_id("[SEP]")


def test_only_first_pieces_are_labelled_if_the_model_does_so():
    rows = make_builder(label_mask="first").build([Sentence("用IBM公司", (Span("ORG", 1, 6),))])
    # IBM is three pieces, of which one is labelled
    assert (rows.tags[0] == UNLABELLED).tolist() == [False, False, True, True, False, False]
    assert decode_tags(rows.tags[0], BIO) == [("ORG", 1, 4)]


def test_long_texts_are_split_outside_entities():
    name = Span("PER", 12, 18)
    text = "一二三四五六七八九。一二三四五六七八九十。" + "好" * 40
    parts = make_builder(max_length=16).prepare([Sentence(text, (name,))])
    assert "".join(part.text for part in parts) == text
    assert all(len(part.text) <= 14 for part in parts)
    found = [part.text[s.start : s.end] for part in parts for s in part.spans]
    assert found == [text[name.start : name.end]]
    assert parts[0].text.endswith("。")


def test_entity_longer_than_a_row_is_split():
    parts = make_builder(max_length=16).prepare([Sentence("好" * 40, (Span("PER", 0, 40),))])
    assert [len(part.text) for part in parts] == [14, 14, 12]
    assert parts[0].spans == (Span("PER", 0, 14),)


def test_texts_without_tokens_are_dropped():
    assert make_builder().prepare([Sentence(" \n", ()), SENTENCES[2]]) == [SENTENCES[2]]


def test_longest_of_overlapping_entities_is_kept():
    nested = Sentence("北京大学", (Span("LOC", 0, 2), Span("ORG", 0, 4), Span("X", 3, 4)))
    assert drop_nested(nested).spans == (Span("ORG", 0, 4),)


@pytest.mark.parametrize(("scheme", "expected"), [("BI", "B BI BIII"), ("BIES", "S BE BIIE"), ("BMES", "S BE BMME")])
def test_label_prefixes(scheme, expected):
    assert [label_prefixes(count, scheme) for count in (1, 2, 4)] == expected.split()
    assert label_prefixes(0, scheme) == ""


def test_rows_are_truncated_to_the_models_length():
    rows = make_builder(max_length=16).build([Sentence("好" * 40, (Span("PER", 0, 40),))])
    assert rows.input_ids.shape == (1, 16)
    assert np.count_nonzero(rows.tags != UNLABELLED) == 14
