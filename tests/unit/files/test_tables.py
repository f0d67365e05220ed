"""Texts in CSV, TSV and workbooks; the other columns of a row are kept."""

import datetime as dt
import importlib

import pytest
import xlsxwriter

from hanner import InvalidText
from hanner.files.options import FileFormat, InputOptions
from hanner.files.read import read_items


def read(path, **options):
    return list(read_items([], [path], InputOptions(**options)))


def found(path, **options):
    return [(item.text, dict(item.fields)) for item in read(path, **options)]


@pytest.fixture
def put(tmp_path):
    def put(content, name="table.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content.encode(encoding))
        return path

    return put


def test_rows_are_kept_and_quotes_understood(put):
    path = put('id,text,tag\r\n1,"马云, 在\n""杭州""",a\r\n2,,b\r\n\r\n3,乙\r\n4,丙,c,extra\r\n', encoding="utf-8-sig")
    assert found(path) == [
        ('马云, 在\n"杭州"', {"id": "1", "tag": "a"}),
        ("", {"id": "2", "tag": "b"}),
        ("乙", {"id": "3"}),
        ("丙", {"id": "4", "tag": "c", "column_4": "extra"}),
    ]


def test_column_is_found_or_named(put):
    assert found(put("标题,正文\n甲,乙\n", encoding="gb18030")) == [("乙", {"标题": "甲"})]
    assert found(put("only\n甲\n")) == [("甲", {})]
    assert found(put("a,Content\n甲,乙\n")) == [("乙", {"a": "甲"})]
    path = put("a,b,text\n甲,乙,丙\n")
    assert found(path, column="b") == [("乙", {"a": "甲", "input_text": "丙"})]
    assert found(path, column="1")[0][0] == "甲"
    assert found(path, column="2", header=False) == [
        ("b", {"column_1": "a", "column_3": "text"}),
        ("乙", {"column_1": "甲", "column_3": "丙"}),
    ]
    with pytest.raises(InvalidText, match="has no column 'body'; its columns are: a, b, text"):
        read(path, column="body")
    with pytest.raises(InvalidText, match="has several columns; name the one with the texts with --column: a, b"):
        read(put("a,b\n甲,乙\n"))


@pytest.mark.parametrize(("delimiter", "name"), [("\t", "a.tsv"), ("\t", "a.csv"), (";", "a.csv"), ("|", "a.csv")])
def test_delimiters(delimiter, name, put):
    assert found(put(delimiter.join(["id", "text"]) + "\n" + delimiter.join(["1", "a,b"]), name)) == [
        ("a,b", {"id": "1"})
    ]


def test_names_of_columns_are_unique(put):
    assert found(put("text,a,a,\n甲,1,2,3\n")) == [("甲", {"a": "1", "a_3": "2", "column_4": "3"})]


def test_row_without_the_column_fails_alone(put):
    items = read(put("id,text\n1\n2,乙\n"))
    assert [(item.text, item.fields["id"]) for item in items] == [(None, "1"), ("乙", "2")]
    assert "row 2 of" in items[0].error
    assert "has 1 cells and no column 'text'" in items[0].error


def test_row_that_cannot_be_decoded_fails_alone(put):
    path = put("id,text\n1,甲\n2,X\n3,丙\n")
    path.write_bytes(path.read_bytes().replace(b"X", b"\xff"))
    items = read(path)
    assert [item.text for item in items] == ["甲", "\ufffd", "丙"]
    assert [bool(item.error) for item in items] == [False, True, False]
    assert "line 3 of" in items[1].error


def test_quote_that_is_not_closed_is_refused(put, monkeypatch):
    monkeypatch.setattr("hanner.files.options.MIN_LINE_BYTES", 100)
    with pytest.raises(InvalidText, match=r"is not CSV from line 2 on .*check for a quote"):
        read(put('text\n"甲\n' + "乙\n" * 200), max_chars=1)


def test_empty_table(put):
    assert found(put("")) == []
    assert found(put("text\n")) == []


def write_book(path, sheets):
    with xlsxwriter.Workbook(str(path)) as book:
        date = book.add_format({"num_format": "yyyy-mm-dd"})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                for column, cell in enumerate(row):
                    if isinstance(cell, dt.date):
                        sheet.write_datetime(number, column, cell, date)
                    else:
                        sheet.write(number, column, cell)
    return path


def test_workbook(tmp_path):
    rows = [["id", "text", "day", "ok"], [1, "马云\n在杭州", dt.date(2026, 11, 28), True], [2.5, 7, None, False]]
    path = write_book(tmp_path / "a.xlsx", {"空": [], "数据": rows})
    assert found(path) == [
        ("马云\n在杭州", {"id": 1, "day": "2026-11-28", "ok": True}),
        ("7", {"id": 2.5, "day": "", "ok": False}),
    ]


def test_sheet_is_chosen(tmp_path):
    path = write_book(tmp_path / "a.xlsx", {"one": [["text"], ["甲"]], "two": [["text"], ["乙"]]})
    stated = []
    assert found(path, notify=stated.append) == [("甲", {})]
    assert stated == [f"{path}: the sheet one is read; for another one (two), add --sheet NAME"]
    assert found(path, sheet="two") == [("乙", {})]
    with pytest.raises(InvalidText, match="has no sheet 'three'; its sheets are: one, two"):
        read(path, sheet="three")


def test_file_that_is_no_workbook_is_refused(put, monkeypatch):
    with pytest.raises(InvalidText, match="is not a workbook that can be read"):
        read(put("not a workbook", "a.xlsx"))
    with pytest.raises(InvalidText, match="is not a workbook"):
        read(put("text\n甲\n"), format=FileFormat.EXCEL)
    monkeypatch.setattr(importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(InvalidText, match=r"a workbook needs a reader: pip install .*files"):
        read(put("", "a.xlsx"))
