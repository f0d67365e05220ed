"""Files as people have them, through `hanner extract`: what each gives, with every offset checked against its text."""

import bz2
import gzip
import io
import json
import lzma
import re
from typing import NamedTuple

import pytest
import xlsxwriter

from hanner.cli.app import run
from hanner.files.sources import _zstd
from support.servers import redis_server
from support.stub_worker import MODEL, StubWorker, success

TEXTS = ["马云在杭州", "今天😀，马云没有去北京", ""]
LINES = "\n".join(TEXTS) + "\n"
ROWS = [["id", "text"], *[[number, text] for number, text in enumerate(TEXTS, 1)]]
CSV = "".join(f"{number},{text}\r\n" for number, text in ROWS)
OBJECTS = [{"id": number, "text": text} for number, text in ROWS[1:]]
JSONL = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in OBJECTS)
NESTED = "".join(json.dumps({"doc": {"body": text}}) + "\n" for text in TEXTS)
HTML = (
    "<html><head><meta charset='gbk'><title>标题</title></head><body><p>马<b>云</b>在杭州</p><p>今天</p></body></html>"
)
HUGE = "马云在杭州阿里巴巴总部发表演讲。" * 6000


def workbook():
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(ROWS):
            sheet.write_row(number, 0, row)
    return file.getvalue()


class Case(NamedTuple):
    """A file, how it is read, and what it gives.

    Attributes:
        name: Name of the file.
        content: Its bytes.
        texts: The texts that it has; None for one that failed.
        refused: Words of the sentence with which the whole file is refused.
        options: Options of the command.
    """

    name: str
    content: bytes
    texts: "list[str | None]" = TEXTS
    refused: str = ""
    options: tuple[str, ...] = ()


CASES = [
    Case("utf8.txt", LINES.encode()),
    Case("utf8-bom.txt", LINES.encode("utf-8-sig")),
    Case("utf16.txt", LINES.encode("utf-16")),
    Case("utf16-be.txt", LINES.encode("utf-16-be")),
    Case("gb18030.txt", LINES.encode("gb18030")),
    Case("big5.txt", "馬雲在杭州\n馬雲在臺北\n".encode("big5"), ["馬雲在杭州", "馬雲在臺北"]),
    Case("dos.txt", LINES.replace("\n", "\r\n").encode()),
    Case("utf16-whole.txt", LINES.encode("utf-16"), [LINES], options=("--whole",)),
    Case("gb18030-whole.txt", LINES.encode("gb18030"), [LINES], options=("--whole",)),
    Case("utf8-bom-whole.txt", LINES.encode("utf-8-sig"), [LINES], options=("--whole",)),
    Case("empty.txt", b"", []),
    Case("huge.txt", HUGE.encode(), [HUGE]),
    Case("too-long.txt", (HUGE * 2 + "\n马云\n").encode(), [None, "马云"]),
    Case("damaged.txt", "马云\n".encode() * 2 + b"\xff\xfe\n" + "马云\n".encode(), ["马云", "马云", None, "马云"]),
    Case("unknown", LINES.encode()),
    Case("utf8.csv", CSV.encode()),
    Case("excel-utf8.csv", CSV.encode("utf-8-sig")),
    Case("gbk.csv", CSV.replace("😀", "").encode("gbk"), [text.replace("😀", "") for text in TEXTS]),
    Case("column.csv", CSV.replace("text", "摘要").encode(), options=("--column", "摘要")),
    Case("semicolon.csv", CSV.replace(",", ";").encode()),
    Case("quoted.csv", 'text\r\n"马云,\n""在""杭州"\r\n'.encode(), ['马云,\n"在"杭州']),
    Case("no-column.csv", CSV.replace("text", "摘要").encode(), refused="--column: id, 摘要"),
    Case("utf16.tsv", CSV.replace(",", "\t").encode("utf-16")),
    Case("book.xlsx", workbook()),
    Case("broken.xlsx", workbook()[:900], refused="not a workbook that can be read"),
    Case("not-a.csv", workbook(), refused="an archive or an Office document"),
    Case("array.json", json.dumps(OBJECTS).encode()),
    Case("strings.json", json.dumps(TEXTS, ensure_ascii=False).encode("gb18030")),
    Case("broken.json", json.dumps(OBJECTS).encode()[:-9], refused="is not JSON"),
    Case("lines.jsonl", JSONL.encode()),
    Case("nested.ndjson", NESTED.encode(), options=("--member", "doc.body")),
    Case("broken.jsonl", (JSONL + "{\n").encode(), [*TEXTS, None]),
    Case("page.html", HTML.encode("gbk"), ["马云在杭州\n今天"]),
    Case("page-utf16.htm", HTML.encode("utf-16"), ["马云在杭州\n今天"]),
    Case("lines.txt.gz", gzip.compress(LINES.encode())),
    Case("table.csv.zst", _zstd().compress(CSV.encode("gb18030"))),
    Case("lines.jsonl.bz2", bz2.compress(JSONL.encode())),
    Case("array.json.xz", lzma.compress(json.dumps(OBJECTS).encode())),
    Case("cut.txt.gz", gzip.compress(LINES.encode())[:-9], refused="cannot be decompressed"),
    Case("report.pdf", b"%PDF-1.7", refused="it is a PDF"),
    Case("letter.docx", b"PK\x03\x04", refused="it is a document"),
    Case("zeros.bin", bytes(4096), refused="is not text"),
]


@pytest.fixture(scope="module")
def broker():
    with redis_server() as server, StubWorker(server.url) as worker:
        worker.behaviour = lambda request: success(
            {"documents": list(map(people, request["argument"])), "model": MODEL}
        )
        yield server.url


def people(text):
    """Return the result of a text: every 马云 in it."""
    starts = [match.start() for match in re.finditer("马云", text)]
    return {"entities": [{"text": "马云", "type": "PER", "start": s, "end": s + 2, "score": 0.9} for s in starts]}


@pytest.fixture
def extract(broker, capsys, monkeypatch):
    """Run `hanner extract` and return its exit code, the records, and stderr."""
    monkeypatch.setenv("HANNER_BROKER_URL", broker)

    def extract(*arguments):
        code = run(["extract", "--format", "jsonl", *map(str, arguments)])
        output = capsys.readouterr()
        return code, [json.loads(line) for line in output.out.splitlines()], output.err

    return extract


def test_table_is_complete():
    assert len(CASES) >= 30
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_file_gives_its_texts_or_is_refused(case, extract, tmp_path):
    path = tmp_path / case.name
    path.write_bytes(case.content)
    code, records, errors = extract("-f", path, *case.options)
    if case.refused:
        assert code == 2
        assert [record["text"] for record in records] == TEXTS[: len(records)]  # those before the damage
        assert case.refused in errors
        assert case.name in errors
        return
    assert [record["text"] if "error" not in record else None for record in records] == case.texts
    assert code == (2 if None in case.texts else 0)
    found = 0
    for record in records:
        for entity in record["entities"]:
            assert record["text"][entity["start"] : entity["end"]] == entity["text"] == "马云"
            found += 1
    assert found == sum((text or "").count("马云") for text in case.texts)


@pytest.mark.parametrize("name", ["utf8.csv", "book.xlsx", "lines.jsonl", "array.json"])
def test_other_columns_and_members_are_kept(name, extract, tmp_path):
    (case,) = (case for case in CASES if case.name == name)
    (tmp_path / name).write_bytes(case.content)
    assert [str(record["id"]) for record in extract("-f", tmp_path / name)[1]] == ["1", "2", "3"]


def test_failed_line_keeps_its_other_members(extract, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 7, "txt": "马云"}\n', "utf-8")
    code, (record,), _ = extract("-f", tmp_path / "a.jsonl")
    assert code == 2
    assert (record["id"], record["txt"], record["error"]["code"]) == (7, "马云", "invalid_text")


def test_encoding_is_stated_and_can_be_overridden(extract, tmp_path):
    (tmp_path / "a.txt").write_bytes("马云\n".encode("gbk"))
    code, _, errors = extract("-f", tmp_path / "a.txt")
    assert code == 0
    assert errors == f"hanner: {tmp_path}/a.txt is read as GB18030, by its content; --encoding overrides it\n"
    assert extract("-f", tmp_path / "a.txt", "--encoding", "gb18030")[2] == ""
    assert extract("-f", tmp_path / "a.txt", "--encoding", "klingon")[0] == 2


def test_several_files_folders_and_patterns(extract, tmp_path):
    for name in ("a.txt", "b.txt", "c.md"):
        (tmp_path / name).write_text(f"马云在{name}\n", "utf-8")
    a, b, c = (str(tmp_path / name) for name in ("a.txt", "b.txt", "c.md"))
    for arguments, files in (
        (("-f", a, b), [a, b]),  # as a shell expands -f *.txt
        (("-f", b, "-f", a), [b, a]),
        (("-f", tmp_path / "*.txt"), [a, b]),
        (("-f", c, tmp_path / "*.txt"), [c, a, b]),
        (("-f", tmp_path), [a, b, c]),
    ):
        code, records, _ = extract(*arguments)
        assert (code, [record["file"] for record in records]) == (0, files)
    code, records, errors = extract("-f", a, "马云在杭州")
    assert (code, records) == (2, [])
    assert "马云在杭州 is not a file; with -f all arguments are files" in errors
