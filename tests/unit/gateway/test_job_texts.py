"""Texts of uploaded files, and their chunks."""

import io
import json

import pytest

from hanner_gateway.jobs.texts import CHUNK_CHARACTERS, CHUNK_TEXTS, group_chunks, make_chunks, read_texts
from hanner_gateway.problems import ProblemError


def read(content, name="texts.txt", max_line_bytes=100):
    return list(read_texts(io.BytesIO(content), name, max_line_bytes))


def test_each_line_of_a_txt_is_a_text():
    assert read("\ufeff马云\r\n\n杭州".encode()) == ["马云", "", "杭州"]
    assert read(b"a\n") == ["a"]
    assert read(b"") == []


def test_each_line_of_a_jsonl_is_a_string_or_an_object():
    content = "\n".join([json.dumps("马云"), "", json.dumps({"text": "杭\n州", "id": 1}), '"\\ud800"'])
    assert read(content.encode(), "texts.JSONL") == ["马云", "杭\n州", "\ud800"]


@pytest.mark.parametrize(
    ("content", "name", "status", "words"),
    [
        (b"a", "texts.pdf", 415, "neither .txt nor .jsonl"),
        (b"a", "", 415, "neither .txt nor .jsonl"),
        (b"a\n\xff\xfe", "t.txt", 422, "line 2 is not UTF-8"),
        (b'"a"\n{', "t.jsonl", 422, "line 2 is not valid JSON"),
        (b'{"txt": "a"}', "t.jsonl", 422, "line 1 has no text"),
        (b"3", "t.jsonl", 422, "line 1 has no text"),
        (b"[" * 90 + b"\n", "t.jsonl", 422, "line 1 is not valid JSON"),
        (b"ok\n" + b"a" * 100, "t.txt", 422, "line 2 is longer than 100 bytes"),
    ],
)
def test_unreadable_line_is_reported(content, name, status, words):
    with pytest.raises(ProblemError, match=words) as caught:
        read(content, name)
    assert caught.value.status == status


def test_deeply_nested_json_is_rejected():
    with pytest.raises(ProblemError, match="not valid JSON"):
        read(b"[" * 1_000_000, "t.jsonl", max_line_bytes=2_000_000)


def test_chunks_are_limited_in_texts_and_characters():
    texts = [str(n) for n in range(1000)]
    cut = list(make_chunks(texts))
    assert [text for chunk in cut for text in chunk] == texts
    assert {len(chunk) for chunk in cut[:-1]} == {CHUNK_TEXTS}
    assert [len(chunk) for chunk in make_chunks(["字" * CHUNK_CHARACTERS] * 3)] == [1, 1, 1]
    assert [chunk for group in group_chunks(texts) for chunk in group] == cut
    assert list(group_chunks([])) == []


def test_source_is_read_lazily():
    read = []

    def source():
        while True:
            read.append(1)
            yield "a"

    next(group_chunks(source()))
    assert len(read) <= CHUNK_TEXTS * 16
