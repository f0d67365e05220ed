"""Parsing columns as in CoNLL."""

import pytest

from hanner_models.data.conll import parse_conll
from hanner_models.data.datasets import DataError, Sentence, Span, read_sentences, read_texts

COLUMNS = """-DOCSTART- O

马 B-PER
云 I-PER
在 O
杭\tB-LOC
州\tI-LOC

好 O
"""


def spans(lines):
    return [[(text[start:end], kind) for kind, start, end in found] for text, found in parse_conll(lines)]


def test_blank_lines_separate_sentences(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text(COLUMNS, "utf-8")
    assert read_sentences(path) == [
        Sentence("马云在杭州", (Span("PER", 0, 2), Span("LOC", 3, 5))),
        Sentence("好", ()),
    ]
    assert list(read_texts(path)) == ["马云在杭州", "好"]


def test_columns_are_recognised_by_first_line(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text(COLUMNS, "utf-8")
    assert len(read_sentences(path)) == 2


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("B-PER E-PER S-LOC", [("一二", "PER"), ("三", "LOC")]),
        ("B-PER M-PER E-PER", [("一二三", "PER")]),
        ("B-PER I-PER B-PER", [("一二", "PER"), ("三", "PER")]),
        ("I-PER I-PER I-LOC", [("一二", "PER"), ("三", "LOC")]),
        ("S-PER I-PER O", [("一", "PER"), ("二", "PER")]),
        ("B-A-1 I-A-1 O", [("一二", "A-1")]),
    ],
)
def test_schemes_are_parsed_like_conlleval(labels, expected):
    lines = [f"{token} {label}" for token, label in zip("一二三", labels.split(), strict=True)]
    assert spans(lines) == [expected]


def test_columns_between_token_and_label_are_ignored():
    assert spans(["马 NR x B-PER", "云 NR x I-PER"]) == [[("马云", "PER")]]


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["我", "用", "IBM", "PC"], "我用IBM PC"),
        (["I", "B", "M"], "IBM"),
        (["iPhone", "5", "手", "机"], "iPhone 5手机"),
        (["2", "0", "1", "1", "年"], "2011年"),
    ],
)
def test_only_latin_words_are_separated_by_spaces(tokens, text):
    assert [found for found, _ in parse_conll([f"{token} O" for token in tokens])] == [text]


@pytest.mark.parametrize("line", ["马", "马 PER", "马 X-PER", "马 B-"])
def test_error_names_line_without_label(tmp_path, line):
    path = tmp_path / "a.conll"
    path.write_text(f"好 O\n{line}\n", "utf-8")
    with pytest.raises(DataError, match=r"a\.conll, line 2"):
        read_sentences(path)
