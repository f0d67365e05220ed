"""Texts out of uploaded files, and how they are cut."""

import io
import json

import pytest

from hanner_gateway.jobs.uploads import PARCEL_CHARACTERS, PARCEL_TEXTS, batches, lines, parcels
from hanner_gateway.problems import ProblemError


def read(content, name="texts.txt", longest=100):
    return list(lines(io.BytesIO(content), name, longest))


def test_each_line_of_a_txt_is_a_text():
    assert read("\ufeff马云\r\n\n杭州".encode()) == ["马云", "", "杭州"]
    assert read(b"a\n") == ["a"]
    assert read(b"") == []


def test_each_line_of_a_jsonl_is_a_string_or_has_a_text():
    content = "\n".join([json.dumps("马云"), "", json.dumps({"text": "杭\n州", "id": 1}), '"\\ud800"'])
    assert read(content.encode(), "texts.JSONL") == ["马云", "杭\n州", "\ud800"]


@pytest.mark.parametrize(
    ("content", "name", "status", "words"),
    [
        (b"a", "texts.pdf", 415, "nothing else is read"),
        (b"a", "", 415, "nothing else is read"),
        (b"a\n\xff\xfe", "t.txt", 422, "line 2 is not UTF-8"),
        (b'"a"\n{', "t.jsonl", 422, "line 2 is no valid JSON"),
        (b'{"txt": "a"}', "t.jsonl", 422, "line 1 has no text"),
        (b"3", "t.jsonl", 422, "line 1 has no text"),
        (b"[" * 90 + b"\n", "t.jsonl", 422, "line 1 is no valid JSON"),
        (b"ok\n" + b"a" * 100, "t.txt", 422, "line 2 is longer than 100 bytes"),
    ],
)
def test_what_cannot_be_read_is_named(content, name, status, words):
    with pytest.raises(ProblemError, match=words) as caught:
        read(content, name)
    assert caught.value.status == status


def test_deep_json_is_refused_and_not_a_crash():
    with pytest.raises(ProblemError, match="no valid JSON"):
        read(b"[" * 1_000_000, "t.jsonl", longest=2_000_000)


def test_parcels_hold_few_texts_or_few_characters():
    texts = [str(n) for n in range(1000)]
    cut = list(parcels(texts))
    assert [text for parcel in cut for text in parcel] == texts
    assert {len(parcel) for parcel in cut[:-1]} == {PARCEL_TEXTS}
    assert [len(parcel) for parcel in parcels(["字" * PARCEL_CHARACTERS] * 3)] == [1, 1, 1]
    assert [parcel for several in batches(texts) for parcel in several] == cut
    assert list(batches([])) == []


def test_an_endless_source_is_taken_bit_by_bit():
    taken = []

    def source():
        while True:
            taken.append(1)
            yield "a"

    next(batches(source()))
    assert len(taken) <= PARCEL_TEXTS * 16
