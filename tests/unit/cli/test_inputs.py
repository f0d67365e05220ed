"""Inputs of `hanner extract`: every line keeps its place, also an invalid one."""

import io
import sys
from pathlib import Path

import pytest

from hanner import InvalidText
from hanner.cli.errors import UsageError
from hanner.cli.io import inputs
from hanner.cli.io.inputs import STDIN, InputItem, InputOptions, read_items, total_bytes


def read(path, **options):
    return list(read_items([], [path], InputOptions(**options)))


def put(tmp_path, content, name="texts.txt"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_only_line_feeds_end_lines(tmp_path):
    path = put(tmp_path, "\ufeff甲\r\n\n乙\u2028\x85丙\r丁\n末".encode())
    found = read(path)
    assert [item.text for item in found] == ["甲", "", "乙\u2028\x85丙\r丁", "末"]
    assert found[-1].offset == path.stat().st_size == total_bytes([path])
    assert all(item.error is None for item in found)


def test_offsets_continue_across_files(tmp_path):
    first, second = put(tmp_path, b"a\nb\n", "1"), put(tmp_path, b"c\n", "2")
    found = list(read_items(["arg"], [first, second], InputOptions()))
    assert [(item.text, item.offset) for item in found] == [("arg", 0), ("a", 2), ("b", 4), ("c", 6)]
    assert total_bytes([first, second]) == 6
    assert total_bytes([first, STDIN]) is None


def test_json_lines(tmp_path):
    path = put(
        tmp_path,
        '{"text": "甲", "id": 7, "entities": [1]}\n"乙"\n\n{"body": "丙"}\nnot json\n[]\n{"text": 5}\n'.encode(),
        "texts.jsonl",
    )
    found = read(path)
    assert found[0] == InputItem("甲", fields={"id": 7}, offset=found[0].offset)
    assert [item.text for item in found] == ["甲", "乙", "", None, None, None, None]
    assert "line 4 of" in found[3].error
    assert '{"text": "…"}' in found[3].error
    assert "is not JSON" in found[4].error
    assert read(path, member="body")[3].text == "丙"
    assert read(path, json=False)[1].text == '"乙"'


def test_deeply_nested_json_fails_alone(tmp_path):
    path = put(tmp_path, b"[" * 200_000 + b"\n" + b'"a"\n', "deep.jsonl")
    assert [item.error is None for item in read(path)] == [False, True]


def test_undecodable_line_fails_alone(tmp_path):
    found = read(put(tmp_path, "甲\n".encode() + b"\xff\xfe\n" + "乙\n".encode()))
    assert [item.text for item in found] == ["甲", "\ufffd\ufffd", "乙"]
    assert found[1].error == f"line 2 of {tmp_path}/texts.txt is not UTF-8 (invalid start byte)"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("abc\n马云在杭州\n".encode("gbk"), r"line 2: .*add --encoding gb18030"),
        ("马云".encode("utf-16"), "looks like UTF-16"),
        (b"\xff\n", r"pass its --encoding"),
    ],
)
def test_file_in_another_encoding_is_rejected(content, words, tmp_path):
    with pytest.raises(InvalidText, match=f"is not UTF-8.*{words}"):
        read(put(tmp_path, content))


def test_other_encodings(tmp_path):
    path = put(tmp_path, "马云\n在😀杭州\n".encode("gb18030"))
    assert [item.text for item in read(path, encoding="gb18030")] == ["马云", "在😀杭州"]
    with pytest.raises(UsageError, match="unknown encoding"):
        InputOptions("gbk-18")
    with pytest.raises(UsageError, match="iconv"):
        InputOptions("utf-16")


def test_too_long_line_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "MIN_LINE_BYTES", 10)
    monkeypatch.setattr(inputs, "SKIP_BYTES", 7)
    path = put(tmp_path, b"a\n" + b"x" * 1000 + b"\nb\n" + b"y" * 9 + b"\n" + b"z" * 30)
    found = read(path, max_chars=1)
    assert [item.text for item in found] == ["a", None, "b", "y" * 9, None]
    assert found[1].error == f"line 2 of {path} has 1,001 bytes; split it"
    assert found[4].offset == path.stat().st_size


def test_whole_files(tmp_path, monkeypatch):
    path = put(tmp_path, "甲\n\n乙\r\n".encode())
    assert [item.text for item in read(path, whole=True)] == ["甲\n\n乙\r\n"]
    monkeypatch.setattr(inputs, "MIN_LINE_BYTES", 4)
    (item,) = read(path, whole=True, max_chars=0)
    assert item.text is None
    assert "has more than 4 bytes" in item.error


def test_stdin_and_unreadable_files(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("甲\n乙".encode())))
    assert [item.text for item in read(STDIN)] == ["甲", "乙"]
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(InvalidText, match="cannot be read"):
            read(path)
    assert total_bytes([Path("missing")]) is None
