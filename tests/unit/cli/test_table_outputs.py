"""Tables as outputs of `hanner extract`: CSV, TSV, Excel, Parquet."""

import contextlib
import csv
import importlib
import json

import pyarrow.parquet
import pytest
from python_calamine import CalamineWorkbook

from hanner import Document, Entity, HannerError
from hanner.cli.errors import UsageError
from hanner.cli.formats import FormatName, Record, RowUnit
from hanner.cli.io import tables
from hanner.cli.io.tables import open_table
from hanner.results import error_document

TEXT = '马云,在\n"杭州"'
FOUND = Document(
    entities=(
        Entity(text="马云", type="PER", start=0, end=2, score=0.9),
        Entity(text="杭州", type="LOC", start=6, end=8, score=0.5),
    )
)
RECORDS = [
    Record(0, TEXT, FOUND, {"id": 1, "tags": ["a"], "type": "新闻"}),
    Record(1, "今天", Document(), {"id": None, "type": "=1+1"}),
    Record(2, None, error_document("invalid_text", "line 3 is\nnot JSON"), {"late": "x"}),
]
COLUMNS = ["id", "tags", "type", "late", "text", "entity", "hanner_type", "start", "end", "score", "error"]
ROWS = [
    ["1", '["a"]', "新闻", None, TEXT, "马云", "PER", 0, 2, 0.9, None],
    ["1", '["a"]', "新闻", None, TEXT, "杭州", "LOC", 6, 8, 0.5, None],
    [None, None, "=1+1", None, "今天", None, None, None, None, None, None],
    [None, None, None, "x", None, None, None, None, None, None, "invalid_text: line 3 is not JSON"],
]


def write(path, form, records=RECORDS, unit=RowUnit.ENTITIES):
    with contextlib.closing(open_table(form, path, unit)) as output:  # as the command does
        for record in records:
            output.write(record)
        output.finish()
    return path


def as_text(rows):
    return [["" if cell is None else str(cell) for cell in row] for row in rows]


@pytest.mark.parametrize(("form", "delimiter"), [(FormatName.CSV, ","), (FormatName.TSV, "\t")])
def test_csv_has_a_row_per_entity_and_the_columns_of_the_input(form, delimiter, tmp_path):
    path = write(tmp_path / "a", form)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")  # Excel needs it
    with path.open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file, delimiter=delimiter)) == [COLUMNS, *as_text(ROWS)]


def test_csv_has_a_row_per_text(tmp_path):
    path = write(tmp_path / "a.csv", FormatName.CSV, unit=RowUnit.TEXTS)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [TEXT, "今天", ""]
    assert json.loads(rows[0]["entities"]) == list(FOUND.entities)
    assert [row["entities"] for row in rows[1:]] == ["[]", "[]"]
    assert rows[2]["error"].startswith("invalid_text: ")


def test_workbook_has_numbers_and_no_formulas(tmp_path):
    path = write(tmp_path / "a.xlsx", FormatName.XLSX)
    header, *rows = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
    assert header == COLUMNS
    assert rows == [["" if cell is None else cell for cell in row] for row in ROWS]


def test_parquet_has_types(tmp_path):
    table = pyarrow.parquet.read_table(write(tmp_path / "a.parquet", FormatName.PARQUET))
    assert table.column_names == COLUMNS
    assert [list(row.values()) for row in table.to_pylist()] == ROWS
    assert {name: str(table.schema.field(name).type) for name in ("id", "start", "score")} == {
        "id": "string",
        "start": "int64",
        "score": "double",
    }


@pytest.mark.parametrize("form", [FormatName.CSV, FormatName.XLSX, FormatName.PARQUET])
def test_empty_input_gives_a_header(form, tmp_path):
    assert write(tmp_path / "a", form, []).stat().st_size > 0
    if form is FormatName.CSV:
        assert (tmp_path / "a").read_text("utf-8-sig") == "text,entity,type,start,end,score,error\n"


def test_many_rows_are_written_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "PARQUET_ROWS", 100)
    records = [Record(number, f"第{number}", FOUND, {"id": number}) for number in range(1234)]
    path = write(tmp_path / "a.parquet", FormatName.PARQUET, records)
    assert pyarrow.parquet.ParquetFile(path).metadata.num_row_groups == 25
    assert pyarrow.parquet.read_table(path).column("id").to_pylist() == [str(n // 2) for n in range(2468)]


def test_members_that_appear_later_are_reported(tmp_path, capsys):
    records = [Record(number, "甲", Document(), {"id": "1"}) for number in range(1000)]
    write(tmp_path / "a.csv", FormatName.CSV, [*records, Record(1000, "乙", Document(), {"late": "x"})])
    assert capsys.readouterr().err == (
        f"hanner: late: not in {tmp_path}/a.csv, no text of the first 1,000 texts has it\n"
    )


def test_csv_on_stdout_is_written_at_once(capsys):
    output = open_table(FormatName.CSV, None, RowUnit.ENTITIES)
    output.write(Record(0, "今天", Document(), {"id": 1}))
    assert capsys.readouterr().out == "id,text,entity,type,start,end,score,error\n1,今天,,,,,,\n"
    output.finish()
    for form in (FormatName.XLSX, FormatName.PARQUET):
        with pytest.raises(UsageError, match="name a file with --output"):
            open_table(form, None, RowUnit.ENTITIES)


def test_interrupted_run_leaves_a_valid_file(tmp_path):
    for form in (FormatName.CSV, FormatName.XLSX, FormatName.PARQUET):
        output = open_table(form, tmp_path / "a", RowUnit.TEXTS)
        output.write(RECORDS[1])
        output.close()
        assert not output.can_resume
    assert pyarrow.parquet.read_table(tmp_path / "a").num_rows == 1


def test_limits_of_a_sheet(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tables, "MAX_CELL", 3)
    monkeypatch.setattr(tables, "MAX_ROWS", 3)
    write(tmp_path / "a.xlsx", FormatName.XLSX, [Record(0, "一二三四", Document())])
    assert capsys.readouterr().err == "hanner: 1 cell had more than 3 characters, Excel's limit, and were cut\n"
    with pytest.raises(HannerError, match=r"a sheet has at most 3 rows; write a \.csv"):
        write(tmp_path / "b.xlsx", FormatName.XLSX, [RECORDS[0], RECORDS[0]])


@pytest.mark.parametrize(("form", "extra"), [(FormatName.XLSX, "files"), (FormatName.PARQUET, "parquet")])
def test_missing_library_is_reported(form, extra, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(UsageError, match=rf"this output needs \w+: pip install .*{extra}"):
        open_table(form, tmp_path / "a", RowUnit.ENTITIES)


def test_file_that_cannot_be_written_is_reported(tmp_path):
    for form in (FormatName.CSV, FormatName.XLSX, FormatName.PARQUET):
        with pytest.raises(HannerError, match="cannot be written"):
            open_table(form, tmp_path / "missing" / "a", RowUnit.ENTITIES)
