"""Reading files: every text keeps its place, also an invalid one."""

import contextlib
import encodings as codecs_of_python
import gzip
import io
import json
import pkgutil
import sys
from pathlib import Path

import pytest

from hanner import InvalidSettings, InvalidText
from hanner.files import lines, options, sources
from hanner.files.options import FileFormat, InputItem, InputOptions
from hanner.files.read import read_items
from hanner.files.sources import STDIN, expand, total_bytes


def read(path, **options):
    return list(read_items([], [path], InputOptions(**options)))


def texts(path, **options):
    found = read(path, **options)
    assert [item.error for item in found] == [None] * len(found)
    return [item.text for item in found]


def put(tmp_path, content, name="texts.txt"):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# Lines


def test_only_line_feeds_end_lines(tmp_path):
    path = put(tmp_path, "\ufeff甲\r\n\n乙\u2028\x85丙\r丁\n末".encode())
    found = read(path)
    assert [item.text for item in found] == ["甲", "", "乙\u2028\x85丙\r丁", "末"]
    assert found[-1].offset == path.stat().st_size == total_bytes([path])
    assert all(item.error is None for item in found)


def test_offsets_continue_across_files_and_each_text_has_its_file(tmp_path):
    first, second = put(tmp_path, b"a\nb\n", "1"), put(tmp_path, b"c\n", "2")
    found = list(read_items(["arg"], [first, second], InputOptions()))
    assert [(item.text, item.offset) for item in found] == [("arg", 0), ("a", 2), ("b", 4), ("c", 6)]
    assert [item.fields for item in found] == [{}, *[{"file": str(path)} for path in (first, first, second)]]
    assert total_bytes([first, second]) == 6
    assert total_bytes([first, STDIN]) is None


def test_undecodable_line_fails_alone(tmp_path):
    found = read(put(tmp_path, "甲\n".encode() + b"\xff\xfe\n" + "乙\n".encode()))
    assert [item.text for item in found] == ["甲", "\ufffd\ufffd", "乙"]
    assert found[1].error == f"line 2 of {tmp_path}/texts.txt is not UTF-8 (invalid start byte)"


def test_too_long_line_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(options, "MIN_LINE_BYTES", 10)
    monkeypatch.setattr(lines, "SKIP_BYTES", 7)
    path = put(tmp_path, b"a\n" + b"x" * 1000 + b"\nb\n" + b"y" * 9 + b"\n" + b"z" * 30)
    found = read(path, max_chars=1)
    assert [item.text for item in found] == ["a", None, "b", "y" * 9, None]
    assert found[1].error == f"line 2 of {path} has 1,001 bytes; split it"
    assert found[4].offset == path.stat().st_size
    wide = put(tmp_path, ("a\n" + "x" * 100 + "\nb\n" + "z" * 30).encode("utf-16"))
    assert [item.text for item in read(wide, max_chars=1)] == ["a", None, "b", None]


def test_whole_files(tmp_path, monkeypatch):
    path = put(tmp_path, "\ufeff甲\n\n乙\r\n".encode())
    assert texts(path, whole=True) == ["甲\n\n乙\r\n"]
    assert texts(put(tmp_path, "甲\n\n乙".encode("utf-16")), whole=True) == ["甲\n\n乙"]
    monkeypatch.setattr(options, "MIN_LINE_BYTES", 4)
    (item,) = read(path, whole=True, max_chars=0)
    assert item.text is None
    assert "has more than 4 bytes" in item.error


def test_stdin_and_unreadable_files(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("甲\n乙".encode())))
    assert texts(STDIN) == ["甲", "乙"]
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(InvalidText, match="cannot be read"):
            read(path)
    assert total_bytes([Path("missing")]) is None


# Encodings


@pytest.mark.parametrize(
    "name", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030", "big5"]
)
def test_encoding_is_detected_and_stated(name, tmp_path):
    content = "abc\n馬雲在杭州\n阿里巴巴總部在中國\r\n"
    stated = []
    path = put(tmp_path, content.encode(name))
    assert texts(path, notify=stated.append) == ["abc", "馬雲在杭州", "阿里巴巴總部在中國"]
    assert texts(path, whole=True) == [content]
    if name.startswith("utf-8"):
        assert stated == []
    else:
        (sentence,) = stated
        assert f"{path} is read as " in sentence
        assert sentence.endswith("--encoding overrides it")


def test_given_encoding_overrides_the_detected_one(tmp_path):
    path = put(tmp_path, "马云\n在😀杭州\n".encode("gb18030"))
    assert texts(path, encoding="gb18030") == ["马云", "在😀杭州"]
    with pytest.raises(InvalidText, match=r"is not UTF-8 \(line 1: .*it looks like GB18030: use --encoding gb18030"):
        read(path, encoding="utf-8")
    assert texts(put(tmp_path, "马云\n".encode("utf-16")), encoding="utf-16") == ["马云"]
    assert texts(put(tmp_path, "\ufeff马云\n".encode()), encoding="utf-8") == ["马云"]
    for unknown in ("gbk-18", "rot13", "base64", "undefined", "idna", "a\0b", ""):
        with pytest.raises(InvalidSettings, match="unknown encoding"):
            InputOptions(unknown)


def test_every_codec_of_python_reads_a_file_or_names_the_problem(tmp_path):
    for module in pkgutil.iter_modules(codecs_of_python.__path__):
        for content in (b"abc\n", "马云\n".encode(), b"\xff\xfe\x00\n"):
            path = put(tmp_path, content)
            with contextlib.suppress(InvalidSettings, InvalidText):
                read(path, encoding=module.name)


def test_encoding_is_detected_where_the_ascii_part_ends(tmp_path):
    content = "x" * 79 + "\n"
    path = put(tmp_path, (content * 5000 + "马云在杭州\n").encode("gbk"))
    assert path.stat().st_size > sources.BUFFER
    assert texts(path)[-1] == "马云在杭州"


def test_encoding_that_cannot_be_recognised_is_refused(tmp_path):
    with pytest.raises(InvalidText, match=r"cannot be recognised; .* iconv -f ENCODING -t utf-8"):
        read(put(tmp_path, "日本語のテキスト、カタカナとひらがな\n".encode("shift_jis")))
    with pytest.raises(InvalidText, match="it has zero bytes"):
        read(put(tmp_path, bytes(range(256)) * 4))


def test_incomplete_utf_16_is_refused(tmp_path):
    with pytest.raises(InvalidText, match=r"is not UTF-16-LE .*correct the damaged bytes"):
        read(put(tmp_path, "马云\n马云".encode("utf-16")[:-1]))


# JSON


def test_json_lines(tmp_path):
    content = '{"text": "甲", "id": 7, "entities": [1]}\n"乙"\n\n{"body": "丙"}\nnot json\n[]\n{"text": 5, "id": 8}\n'
    path = put(tmp_path, content.encode(), "texts.jsonl")
    found = read(path)
    assert found[0] == InputItem("甲", fields={"id": 7}, offset=found[0].offset)
    assert [item.text for item in found] == ["甲", "乙", "", None, None, None, None]
    assert "line 4 of" in found[3].error
    assert 'no text in the member "text"; its members are: body' in found[3].error
    assert found[3].fields == {"body": "丙"}
    assert "is not JSON" in found[4].error
    assert "not a string" in found[6].error
    assert found[6].fields == {"id": 8}  # a line that fails keeps its other members
    assert read(path, member="body")[3].text == "丙"
    assert read(path, format=FileFormat.TEXT)[1].text == '"乙"'


def test_deeply_nested_json_fails_alone(tmp_path):
    path = put(tmp_path, b"[" * 200_000 + b"\n" + b'"a"\n', "deep.jsonl")
    assert [item.error is None for item in read(path)] == [False, True]


def test_nested_member(tmp_path):
    line = {"id": 1, "doc": {"body": "甲", "title": "乙"}, "text": "丙", "a.b": "丁"}
    path = put(tmp_path, json.dumps(line).encode(), "nested.jsonl")
    (item,) = read(path, member="doc.body")
    assert item.text == "甲"
    assert item.fields == {"id": 1, "doc": {"title": "乙"}, "input_text": "丙", "a.b": "丁"}
    assert read(path, member="a.b")[0].text == "丁"
    assert "its members are: id, doc, text, a.b" in read(path, member="doc.nothing")[0].error


def test_json_array(tmp_path):
    path = put(tmp_path, ' [ "甲" , {"text": "乙", "id": 2}, 3 ]\n'.encode(), "array.json")
    found = read(path)
    assert [(item.text, item.fields) for item in found] == [("甲", {}), ("乙", {"id": 2}), (None, {})]
    assert found[2].error.startswith(f"item 3 of {path} has no text")
    assert read(put(tmp_path, b" [ ] ", "empty.json")) == []
    assert texts(put(tmp_path, '{"text": "甲"}'.encode(), "object.json")) == ["甲"]
    assert texts(put(tmp_path, '["甲"]'.encode("gbk"), "gbk.json")) == ["甲"]


@pytest.mark.parametrize(
    "content", ['["a" "b"]', '["a", ', '["a"', '["a"] "b"', '{"text": "a"}\n{"text": "b"}', "", "["]
)
def test_broken_json_is_refused(content, tmp_path):
    with pytest.raises(InvalidText, match=r"broken.json is not JSON .*--input-format jsonl"):
        read(put(tmp_path, content.encode(), "broken.json"))


# HTML


def test_html_has_its_visible_text(tmp_path):
    page = """<!doctype html><html><head><meta charset="gb2312"><title>t</title><style>p {}</style></head><body>
        <h1>马<b>云</b></h1><script>var x = "<p>不是</p>";</script><p>在&nbsp;杭州&amp;<br>阿里\n  巴巴</p>
        <ul><li>一<li>二</ul><!-- 注释 --><img alt="x"/></body></html>"""
    expected = "马云\n在\xa0杭州&\n阿里 巴巴\n一\n二"
    assert texts(put(tmp_path, page.encode("gb18030"), "a.html")) == [expected]
    assert texts(put(tmp_path, page.encode(), "a.htm")) == [expected]  # the declaration is wrong
    assert texts(put(tmp_path, page.encode("utf-16"), "b.html")) == [expected]


def test_html_without_a_head_or_an_end_is_read(tmp_path):
    assert texts(put(tmp_path, "<head><title>x<body>马云<div>在".encode(), "a.html")) == ["马云\n在"]
    assert texts(put(tmp_path, "马云".encode(), "a.html")) == ["马云"]


# Files


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2", ".xz"])
def test_compressed_file(suffix, tmp_path):
    library = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}.get(suffix)
    module = __import__(library) if library else sources._zstd()
    content = module.compress("text\n甲\n乙\n".encode("gbk"))
    path = put(tmp_path, content, f"a.csv{suffix}")
    assert texts(path) == ["甲", "乙"]
    assert read(path)[-1].offset == path.stat().st_size
    with pytest.raises(InvalidText, match=r"cannot be (decompressed|read)"):
        read(put(tmp_path, content[:-9], f"cut{suffix}"))


def test_compressed_stdin(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress("甲".encode()))))
    assert texts(STDIN) == ["甲"]


def test_missing_library_for_zstd_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "ZSTD_MODULES", ("no_such_module_of_zstd",))
    with pytest.raises(InvalidText, match=r"zstd needs a library: pip install .*files"):
        read(put(tmp_path, b"\x28\xb5\x2f\xfd1234", "a.zst"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pdf", b"", "it is a PDF"),
        ("a.docx", b"PK", "it is a document"),
        ("A.PDF.gz", b"", "it is a PDF"),
        ("texts.txt", b"%PDF-1.7\n", "it is a PDF"),
        ("noname", b"PK\x03\x04", "an archive or an Office document; .*--input-format excel"),
        ("a.csv", b"\x89PNG\r\n", "it is a picture"),
        ("a.xml", b"<a/>", "it is XML"),
    ],
)
def test_unsupported_file_is_refused_by_name(name, content, words, tmp_path):
    with pytest.raises(InvalidText, match=f"{name} cannot be read: .*{words}"):
        read(put(tmp_path, content, name))


def test_folders_and_patterns(tmp_path):
    for name in ("b.txt", "a.txt", "sub/c.CSV.gz", "sub/.hidden/d.txt", ".e.txt", "f.pdf", "sub/g.unknown"):
        put(tmp_path, b"", name)
    stated = []
    found = expand([tmp_path], stated.append)
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a.txt", "b.txt", "sub/c.CSV.gz"]
    assert stated == [f"not read in {tmp_path}, unknown suffix: f.pdf, sub/g.unknown; name a file with -f to read it"]
    assert [path.name for path in expand([tmp_path / "*.txt", STDIN], stated.append)] == ["a.txt", "b.txt", "-"]
    put(tmp_path, b"", "[x].txt")
    assert [path.name for path in expand([tmp_path / "[x].txt"], stated.append)] == ["[x].txt"]
    with pytest.raises(InvalidText, match=r"no file matches .*/\*.json"):
        expand([tmp_path / "*.json"], stated.append)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidText, match="empty has no file to read; known suffixes are"):
        expand([tmp_path / "empty"], stated.append)
