"""Reading labelled sentences, texts and names from files."""

import json
import lzma

import pytest

from hanner_models.data.datasets import (
    DataError,
    Sentence,
    Span,
    parse_weighted_path,
    read_names,
    read_sentences,
    read_texts,
    sample_texts,
)


def line(text, *spans):
    return json.dumps({"text": text, "entities": [{"type": t, "start": s, "end": e} for t, s, e in spans]})


def test_spans_are_sorted(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(line("马云在杭州", ("LOC", 3, 5), ("PER", 0, 2)) + "\n", "utf-8")
    assert read_sentences(path) == [Sentence("马云在杭州", (Span("PER", 0, 2), Span("LOC", 3, 5)))]


def test_reads_exports_of_annotation_tools(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "text": "马云在杭州", "label": [[0, 2, "PER"]]}\n', "utf-8")
    assert read_sentences(path) == [Sentence("马云在杭州", (Span("PER", 0, 2),))]


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "[]",
        '{"text": "马云"}',
        '{"text": 3, "entities": []}',
        line("马云", ("PER", 0, 3)),
        line("马云", ("PER", 1, 1)),
        line("马云", ("PER", -1, 1)),
    ],
)
def test_error_names_file_and_invalid_line(tmp_path, bad):
    path = tmp_path / "a.jsonl"
    path.write_text(line("好") + "\n" + bad + "\n", "utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl, line 2"):
        read_sentences(path)


def test_error_names_missing_file_and_undecodable_file(tmp_path):
    with pytest.raises(DataError, match="nothing"):
        read_names(tmp_path / "nothing.txt")
    path = tmp_path / "b.txt"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match=r"b\.txt"):
        list(read_texts(path))


def test_reads_plain_compressed_and_labelled_texts(tmp_path):
    (tmp_path / "a.txt").write_text("一\n\n二\n", "utf-8")
    with lzma.open(tmp_path / "a.txt.xz", "wt", encoding="utf-8") as file:
        file.write("三\n四\n")
    (tmp_path / "a.jsonl").write_text(line("五") + "\n", "utf-8")
    assert list(read_texts(tmp_path / "a.txt")) == ["一", "二"]
    assert list(read_texts(tmp_path / "a.txt.xz")) == ["三", "四"]
    assert list(read_texts(tmp_path / "a.jsonl")) == ["五"]


def test_sample_is_spread_over_the_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(map(str, range(100))), "utf-8")
    assert sample_texts(path, 4) == ["0", "25", "50", "75"]
    assert len(sample_texts(path, 1000)) == 100


def test_weight_follows_colon():
    assert parse_weighted_path("ner/a.jsonl") == ("ner/a.jsonl", 1.0)
    assert parse_weighted_path("ner/a.jsonl:0.5") == ("ner/a.jsonl", 0.5)
    with pytest.raises(DataError, match="colon"):
        parse_weighted_path("ner/a.jsonl:much")


def test_a_line_of_nested_json_is_reported(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text":' * 100_000)
    with pytest.raises(DataError, match="line 1 is not a labelled sentence"):
        read_sentences(tmp_path / "a.jsonl")
