"""Tokenizer and batches of training: tags are aligned, batches are reproducible and within budget. No torch."""

import re
from pathlib import Path

import numpy as np
import pytest

import hanner_models
from hanner_models.data.datasets import Sentence, Span, read_names, read_sentences
from hanner_models.train import pretrain, word_tags
from hanner_models.train.augment import NamePools
from hanner_models.train.config import (
    DistilRunConfig,
    PretrainConfig,
    SampleConfig,
    TagConfig,
    TeacherConfig,
    TrainConfig,
)
from hanner_models.train.examples import LABELS, Corpus, SentenceSampler, encode
from hanner_models.train.sampler import TEMPLATES, shipped_sentences
from hanner_models.train.sampler import make_sampler as make_shipped_sampler
from hanner_models.train.vocabulary import build_tokenizer, special_ids

DATA = Path(__file__).parents[2] / "data"
TEXTS = ["马云在杭州阿里巴巴总部发表演讲。", "王小明2011年到了ibm公司", "今天天气很好，我们去看电影。"]
SENTENCES = [
    Sentence(TEXTS[0], (Span("PER", 0, 2), Span("LOC", 3, 5), Span("ORG", 5, 9))),
    Sentence("王小明２０１１年到了IBM公司", (Span("PER", 0, 3), Span("ORG", 10, 15))),
    Sentence(TEXTS[2], ()),
]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(TEXTS * 3, known=["鑫", "\n", ""], min_count=3)


def decode_tags(rows, number):
    """Return type and number of tokens of each entity in a row's tags."""
    names, tags = [], rows.tags[number]
    for index, tag in enumerate(tags):
        if LABELS[tag].startswith("B-"):
            names.append((LABELS[tag][2:], 1))
        elif LABELS[tag].startswith("I-"):
            assert tags[index - 1] in (tag, tag - 1)
            names[-1] = (names[-1][0], names[-1][1] + 1)
    return names


def test_vocabulary_has_frequent_and_known_characters(tokenizer):
    for text in [*TEXTS, "鑫"]:
        assert "[UNK]" not in tokenizer.encode(text, add_special_tokens=False).tokens
    assert tokenizer.encode("犇", add_special_tokens=False).tokens == ["[UNK]"]
    assert list(special_ids(tokenizer).values()) == [0, 1, 2, 3, 4]


def test_latin_words_and_numbers_are_never_unknown(tokenizer):
    assert "[UNK]" not in tokenizer.encode("zq9x 0a", add_special_tokens=False).tokens


def test_tags_mark_names_in_any_width(tokenizer):
    rows = encode(tokenizer, SENTENCES, max_length=64)
    assert decode_tags(rows, 0) == [("PER", 2), ("LOC", 2), ("ORG", 4)]
    assert [kind for kind, _ in decode_tags(rows, 1)] == ["PER", "ORG"]
    assert decode_tags(rows, 2) == []
    special = special_ids(tokenizer)
    for row, count in zip(rows.input_ids, rows.attention_mask.sum(1), strict=True):
        assert row[0] == special["[CLS]"]
        assert row[count - 1] == special["[SEP]"]
        assert (row[count:] == special["[PAD]"]).all()


def test_rows_are_truncated_to_max_length(tokenizer):
    rows = encode(tokenizer, SENTENCES, max_length=8)
    assert rows.input_ids.shape == (3, 8)
    assert decode_tags(rows, 0) == [("PER", 2), ("LOC", 2), ("ORG", 1)]


def make_sampler(**changes):
    config = TagConfig(corpora=(), dev=(), steps=1, batch_tokens=100, **changes)
    corpora = [Corpus(SENTENCES * 20, 1.5, auxiliary=False), Corpus(SENTENCES, 1.0, auxiliary=True)]
    return SentenceSampler(corpora, NamePools({"PER": [["李雷"]]}), config, seed=1)


def test_batch_depends_only_on_step():
    sampler = make_sampler()
    batches = [sampler.sample(number) for number in range(60)]
    resumed = make_sampler()
    for number in (7, 59):
        assert resumed.sample(number) == batches[number]


def test_batches_stay_within_budget_and_serve_both_heads(tokenizer):
    drawn = list(map(make_sampler().sample, range(60)))
    rows = [encode(tokenizer, sentences, max_length=64) for sentences, _ in drawn]
    assert all(batch.input_ids.size <= 130 for batch in rows)  # augmentation may lengthen a name after grouping
    assert {auxiliary for _, auxiliary in drawn} == {True, False}


def test_some_sentences_become_traditional_and_change_case():
    corpora = [Corpus([Sentence("IBM总部在杭州", (Span("ORG", 0, 3), Span("LOC", 6, 8)))] * 40, 1.0, auxiliary=False)]
    config = TagConfig(
        corpora=(), dev=(), steps=1, replace_share=0, noise_share=0, join_share=0, traditional_share=0.5, case_share=0.5
    )
    sampler = SentenceSampler(
        corpora, NamePools({}), config, seed=1, to_traditional=lambda text: text.replace("总", "總")
    )
    texts = {sentence.text for number in range(20) for sentence in sampler.sample(number)[0]}
    assert {"IBM总部在杭州", "IBM總部在杭州", "ibm总部在杭州"} <= texts


def test_masked_tokens_are_exactly_the_targets(tokenizer):
    config = PretrainConfig(texts=(), steps=1, batch_tokens=8192, length=64, mask_share=0.2)
    streams = [pretrain.tokenise(tokenizer, TEXTS * 50, 1.0)]
    ids, targets, tags = pretrain.sample_batch(streams, config, tokenizer, np.random.default_rng(0))
    assert ids.shape == targets.shape == tags.shape == (128, 64)
    assert (tags == word_tags.IGNORED).all()
    masked = targets != word_tags.IGNORED
    assert 0.14 < masked.mean() < 0.26
    replaced = ids == special_ids(tokenizer)["[MASK]"]
    assert (replaced <= masked).all()
    assert 0.7 < replaced.sum() / masked.sum() < 0.9
    special = special_ids(tokenizer)
    assert not np.isin(targets, [special["[CLS]"], special["[SEP]"], special["[PAD]"]]).any()


def test_word_tags_are_aligned_with_tokens(tokenizer):
    config = PretrainConfig(texts=(), steps=1, batch_tokens=8192, length=64, mask_share=0.2)
    plain, tagged = (pretrain.tokenise(tokenizer, TEXTS * 50, 1.0, with_word_tags=on) for on in (False, True))
    separators = plain.ids == special_ids(tokenizer)["[SEP]"]
    assert ((tagged.word_tags == word_tags.IGNORED) == separators).all()
    ids, targets, tags = pretrain.sample_batch([tagged], config, tokenizer, np.random.default_rng(0))
    whole = np.where(targets == word_tags.IGNORED, ids, targets)
    special = [special_ids(tokenizer)[name] for name in ("[CLS]", "[SEP]", "[PAD]")]
    assert ((tags == word_tags.IGNORED) == np.isin(whole, special)).all()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (TrainConfig, "train/default.toml"),
        (TeacherConfig, "train/teacher/teacher.toml"),
        (TeacherConfig, "train/teacher/teacher-open.toml"),
        (DistilRunConfig, "distil/hanner-small.toml"),
    ],
)
def test_shipped_configurations_are_valid(kind, name):
    assert kind.read(Path(hanner_models.__file__).parent / name).name


def test_shipped_templates_have_only_known_slots():
    templates = read_names(TEMPLATES)
    assert len(set(templates)) == len(templates) > 100
    slots = {slot for template in templates for slot in re.findall(r"\{(\w*)\}", template)}
    assert slots == {"PER", "LOC", "ORG", "ADDRESS"}
    assert all(template.count("{") == template.count("}") for template in templates)


def test_shipped_templates_are_an_option(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "今天", "entities": []}\n', "utf-8")
    config = SampleConfig(corpora=("a.jsonl",), dev=(), templates=("一",), template_copies=2)
    steps = {}
    for shipped in (False, True):
        changed = config.model_copy(update={"shipped_templates": shipped, "batch_tokens": 1})
        steps[shipped] = make_shipped_sampler(changed, {}, tmp_path, 1).steps_per_epoch()
    assert steps[False] == 1 + 2
    assert steps[True] == 1 + 2 * (1 + len(read_names(TEMPLATES)))


def test_shipped_sentences_are_labelled_and_not_those_of_the_evaluation():
    marked = shipped_sentences()
    assert {span.type for sentence in marked for span in sentence.spans} == {"PER", "LOC", "ORG"}
    assert not [sentence.text for sentence in marked if "|" in sentence.text]
    held_out = runs(read_sentences(DATA / "evaluation" / "modern.test.jsonl"))
    assert not [sentence.text for sentence in marked if runs([sentence]) & held_out]


def runs(sentences, length=8):
    return {s.text[i : i + length] for s in sentences for i in range(len(s.text) - length + 1)}


def test_shipped_sentences_are_different_ones_with_whole_names():
    marked = shipped_sentences()
    assert len({sentence.text for sentence in marked}) == len(marked)
    names = {s.text[p.start : p.end] for s in marked for p in s.spans}
    assert not [name for name in names if name != name.strip("《》“”‘’「」（），。、：@# ")]


def test_shipped_sentences_are_an_option(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "今天", "entities": []}\n', "utf-8")
    config = SampleConfig(corpora=("a.jsonl",), dev=(), join_share=0, batch_tokens=1)
    steps = {
        copies: make_shipped_sampler(
            config.model_copy(update={"shipped_sentences": copies}), {}, tmp_path, 1
        ).steps_per_epoch()
        for copies in (0, 2)
    }
    assert steps == {0: 1, 2: 1 + 2 * len(shipped_sentences())}


def test_annotated_texts_are_sampled_with_their_names(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_text("", "utf-8")
    (tmp_path / "wiki.txt").write_text("马云在杭州。他走了。\n", "utf-8")
    (tmp_path / "wiki.tsv").write_text("0\tPER 马云\tLOC 杭州\n", "utf-8")
    monkeypatch.setattr("hanner_models.train.annotations.ANNOTATIONS", tmp_path)
    config = SampleConfig(
        corpora=("a.jsonl",), annotated=("wiki.txt",), dev=(), join_share=0, noise_share=0, replace_share=0
    )
    sampler = make_shipped_sampler(config, {}, tmp_path, 1)
    sentences, auxiliary = sampler.sample(0)
    assert not auxiliary
    spans = {s.text: [(p.type, s.text[p.start : p.end]) for p in s.spans] for s in sentences}
    assert spans == {"马云在杭州。": [("PER", "马云"), ("LOC", "杭州")], "他走了。": []}
