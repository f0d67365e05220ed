"""Texts of uploaded files, and their chunks."""

import gzip
import io
import json

import pytest

from hanner.files.options import MIN_LINE_BYTES, InputItem, InputOptions
from hanner_gateway.jobs.texts import (
    ACCEPTED,
    CHUNK_CHARACTERS,
    CHUNK_TEXTS,
    group_chunks,
    limit_texts,
    make_chunks,
    read_upload,
)
from hanner_gateway.problems import ProblemError


def read(content, name="texts.txt", **options):
    return list(read_upload(io.BytesIO(content), name, InputOptions(**options)))


def texts(*arguments, **options):
    return [item.text for item in read(*arguments, **options)]


def test_each_line_of_a_txt_is_a_text():
    assert texts("\ufeff马云\r\n\n杭州".encode()) == ["马云", "", "杭州"]
    assert texts(b"a\n") == ["a"]
    assert texts(b"") == []


def test_each_line_of_a_jsonl_is_a_string_or_an_object_with_other_members():
    content = "\n".join([json.dumps("马云"), json.dumps({"text": "杭\n州", "id": 1, "entities": 2}), '"\\ud800"'])
    assert read(content.encode(), "texts.JSONL") == [
        InputItem("马云"),
        InputItem("杭\n州", fields={"id": 1}),
        InputItem("\ud800"),
    ]


def test_member_and_column_with_the_text_can_be_named():
    content = json.dumps({"doc": {"body": "马云", "n": 1}, "id": 7}).encode()
    assert read(content, "t.jsonl", member="doc.body") == [InputItem("马云", fields={"doc": {"n": 1}, "id": 7})]
    content = "编号,内容\n7,马云\n".encode("gb18030")
    notices = []
    assert read(content, "t.csv", notify=notices.append) == [InputItem("马云", fields={"编号": "7"})]
    assert "GB18030" in notices[0]
    assert texts(content, "t.csv", column="编号") == ["7"]


def test_bad_line_fails_alone_and_keeps_its_other_members():
    good = '"好的"'.encode()
    bad = [b"{", b'{"txt": "a", "id": 1}', b"3", b"[" * 10_000, b'{"text": "a", "n": NaN}', b'"\xff"']
    items = read(b"\n".join([good, *bad, good]), "t.jsonl")
    assert [item.text for item in items if item.error is None] == ["好的", "好的"]
    errors = [item.error for item in items if item.error]
    assert len(errors) == 6
    assert errors[0].startswith("line 2 of t.jsonl is not JSON")
    assert errors[1].endswith("its members are: txt, id; name one with the field member")
    assert items[2].fields == {"id": 1, "txt": "a"}


@pytest.mark.parametrize(
    ("content", "name", "status", "words"),
    [
        (b"a", "texts.pdf", 415, r"'texts.pdf' cannot be read; upload a file that ends with .txt, "),
        (b"a", "", 415, "a file without a name cannot be read"),
        (b"[1]", "t.json", 422, "item 1 of t.json has no text"),
        (b'["a", ', "t.json", 422, "for one JSON value per line, name it .jsonl$"),
        (b"a", "t.xlsx", 415, "cannot be read"),
        (gzip.compress(b"a", mtime=0), "t.txt", 415, "'t.txt' is compressed"),
        (gzip.compress(b"a", mtime=0), "t.txt.gz", 415, "cannot be read"),
        (b"%PDF-1.7", "t.txt", 422, "it is a PDF"),
        (b"a\n\xff\xfe", "t.txt", 422, "t.txt"),
        (b'{"txt": "a"}', "t.jsonl", 422, 'has no text in the member "text"'),
        (b"[" * 1_000_000, "t.jsonl", 422, "is not JSON"),
        (b"a,b\n1,2\n", "t.csv", 422, "name the one with the texts with the field column: a, b"),
    ],
)
def test_unreadable_file_is_rejected(content, name, status, words):
    with pytest.raises(ProblemError, match=words) as caught:
        read(content, name)
    assert caught.value.status == status
    assert "--" not in str(caught.value)


def test_workbooks_are_not_accepted():
    assert {".txt", ".jsonl", ".json", ".csv", ".tsv", ".html"} < set(ACCEPTED)
    assert ".xlsx" not in ACCEPTED


def test_json_array_is_read_up_to_a_limit():
    content = json.dumps([{"id": 1, "body": "马云"}, "杭州"]).encode("utf-16")
    assert read(content, "t.json", member="body") == [InputItem("马云", fields={"id": 1}), InputItem("杭州")]
    with pytest.raises(ProblemError, match=r"upload a \.jsonl file, which is streamed") as caught:
        read(b'["a"]' + b" " * MIN_LINE_BYTES, "t.json", max_chars=1)
    assert caught.value.status == 413


def test_number_of_texts_is_limited():
    assert len(list(limit_texts(map(InputItem, "abc"), 3))) == 3
    with pytest.raises(ProblemError, match="more than 2 texts"):
        list(limit_texts(map(InputItem, "abc"), 2))


def test_chunks_are_limited_in_texts_and_characters():
    items = [InputItem(str(n)) for n in range(1000)]
    cut = list(make_chunks(items))
    assert [item for chunk in cut for item in chunk] == items
    assert {len(chunk) for chunk in cut[:-1]} == {CHUNK_TEXTS}
    assert [len(chunk) for chunk in make_chunks([InputItem("字" * CHUNK_CHARACTERS)] * 3)] == [1, 1, 1]
    large = InputItem("a", fields={"b": "c" * CHUNK_CHARACTERS})
    assert [len(chunk) for chunk in make_chunks([large] * 3)] == [1, 1, 1]
    assert [chunk for group in group_chunks(items) for chunk in group] == cut
    assert list(group_chunks([])) == []


def test_source_is_read_lazily():
    read = []

    def source():
        while True:
            read.append(1)
            yield InputItem("a")

    next(group_chunks(source()))
    assert len(read) <= CHUNK_TEXTS * 16
