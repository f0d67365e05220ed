"""Tables as outputs of `hanner extract`: CSV and TSV, on stdout too, Excel workbooks, and Parquet files."""

import csv
import importlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hanner.cli.errors import UsageError
from hanner.cli.formats import FormatName, Record
from hanner.cli.formats.rows import NUMBERS, RowUnit, make_rows, own_names, plain
from hanner.cli.io.outputs import os_errors_as_hanner_errors
from hanner.cli.terminal import pluralize
from hanner.errors import HannerError
from hanner.utils.packaging import install_hint

FIRST_RECORDS = 1000
"""Records after which the columns are known. A stream of fewer is written at its end, except for CSV."""
MAX_CELL = 32_767
"""Characters in a cell of a workbook."""
MAX_ROWS = 1_048_576
"""Rows of a sheet."""
PARQUET_ROWS = 10_000
"""Rows in a group of a Parquet file."""


class TableWriter(ABC):
    """Writes rows to one file."""

    @abstractmethod
    def start(self, columns: Sequence[str]) -> None:
        """Write the header."""

    @abstractmethod
    def write(self, row: Sequence[Any]) -> None:
        """Write a row, in the order of the columns."""

    @abstractmethod
    def close(self) -> None:
        """Complete the file with the rows that were written."""


class CsvWriter(TableWriter):
    """Writes CSV or TSV. A file begins with a byte order mark, without which Excel does not read UTF-8."""

    def __init__(self, path: Path | None, delimiter: str) -> None:
        if path is None:
            self._file: Any = sys.stdout
        else:
            self._file = path.open("w", encoding="utf-8-sig", errors="replace", newline="")
        self._is_stdout = path is None
        self._writer = csv.writer(self._file, delimiter=delimiter, lineterminator="\n" if path is None else "\r\n")

    def start(self, columns: Sequence[str]) -> None:
        """Write the header."""
        self._writer.writerow(columns)

    def write(self, row: Sequence[Any]) -> None:
        """Write a row; stdout is flushed, so that others can follow it."""
        self._writer.writerow(row)
        if self._is_stdout:
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if not self._is_stdout:
            self._file.close()


class ExcelWriter(TableWriter):
    """Writes a workbook with one sheet, row by row."""

    def __init__(self, path: Path) -> None:
        xlsxwriter = import_library("xlsxwriter", "files")
        path.open("ab").close()  # an error now, and not after all texts
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        self._book = xlsxwriter.Workbook(str(path), options)
        self._sheet = self._book.add_worksheet("entities")
        self._rows = self._cut = 0

    def start(self, columns: Sequence[str]) -> None:
        """Write the header in bold; it stays visible."""
        self._sheet.freeze_panes(1, 0)
        self._sheet.write_row(0, 0, columns, self._book.add_format({"bold": True}))
        self._rows = 1

    def write(self, row: Sequence[Any]) -> None:
        """Write a row.

        Raises:
            HannerError: the sheet is full.
        """
        if self._rows == MAX_ROWS:
            raise HannerError(f"a sheet has at most {MAX_ROWS:,} rows; write a .csv, or split the input")
        for column, value in enumerate(row):
            if isinstance(value, str):
                self._cut += len(value) > MAX_CELL
                self._sheet.write_string(self._rows, column, value[:MAX_CELL])
            elif value is not None:
                self._sheet.write_number(self._rows, column, value)
        self._rows += 1

    def close(self) -> None:
        """Write the workbook; report cells that were cut."""
        self._book.close()
        if self._cut:
            cells = pluralize(self._cut, "cell")
            print(
                f"hanner: {cells} had more than {MAX_CELL:,} characters, Excel's limit, and were cut", file=sys.stderr
            )


class ParquetWriter(TableWriter):
    """Writes a Parquet file in groups of rows. The columns of the input are strings."""

    def __init__(self, path: Path, numbers: "dict[str, type]") -> None:
        self._arrow = import_library("pyarrow", "parquet")
        self._parquet = import_library("pyarrow.parquet", "parquet")
        self._path = path
        self._numbers = numbers
        self._rows: list[Sequence[Any]] = []
        self._writer: Any = None
        path.open("wb").close()

    def start(self, columns: Sequence[str]) -> None:
        """Open the file with the types of the columns."""
        arrow = self._arrow
        types = {int: arrow.int64(), float: arrow.float64()}
        fields = [(name, types.get(self._numbers.get(name, str), arrow.string())) for name in columns]
        self._schema = arrow.schema(fields)
        self._writer = self._parquet.ParquetWriter(self._path, self._schema, compression="zstd")

    def write(self, row: Sequence[Any]) -> None:
        """Add a row; write a full group."""
        self._rows.append(row)
        if len(self._rows) == PARQUET_ROWS:
            self._write_group()

    def close(self) -> None:
        """Write the last group and the file's end."""
        if self._rows:
            self._write_group()
        if self._writer is not None:
            self._writer.close()

    def _write_group(self) -> None:
        columns = [list(column) for column in zip(*self._rows, strict=True)]
        arrays = [self._arrow.array(column, kind.type) for column, kind in zip(columns, self._schema, strict=True)]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()


def import_library(name: str, extra: str) -> Any:
    """Return a module of an extra.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        library = name.partition(".")[0]
        raise UsageError(f"this output needs {library}: {install_hint(extra)}; or write a .csv or .jsonl") from None


def open_table(form: FormatName, path: Path | None, unit: RowUnit) -> "TableOutput":
    """Return an open table.

    Args:
        form: Its format.
        path: Its file; None for stdout, on which only CSV and TSV are possible.
        unit: What a row is.

    Raises:
        UsageError: the library for the format is not installed, or the format needs a file.
        HannerError: the file cannot be written.
    """
    if path is None and form not in {FormatName.CSV, FormatName.TSV}:
        raise UsageError(f"{form} is not text; name a file with --output")
    writer: TableWriter
    with os_errors_as_hanner_errors(path or Path("stdout")):
        if path is None or form in {FormatName.CSV, FormatName.TSV}:
            writer = CsvWriter(path, "," if form is FormatName.CSV else "\t")
        elif form is FormatName.XLSX:
            writer = ExcelWriter(path)
        else:
            writer = ParquetWriter(path, NUMBERS)
    return TableOutput(writer, path, unit, wait=1 if path is None else FIRST_RECORDS)


class TableOutput:
    """A table of all records. It cannot be resumed.

    Args:
        writer: Writes its rows.
        path: Its file, for errors; None for stdout.
        unit: What a row is.
        wait: Records that are kept until the columns are known.
    """

    existing = 0
    can_resume = False

    def __init__(self, writer: TableWriter, path: Path | None, unit: RowUnit, *, wait: int = FIRST_RECORDS) -> None:
        self._writer = writer
        self._path = path or Path("stdout")
        self._unit = unit
        self._wait = wait
        self._waiting: list[Record] = []
        self._fields: list[str] | None = None
        self._missing: dict[str, None] = {}
        self._is_open = True

    def ends_with(self, text: str | None) -> bool:
        """Return True: a table is always written from the start."""
        del text
        return True

    def write(self, record: Record) -> None:
        """Write the rows of a record, or keep it until the columns are known."""
        if self._fields is not None:
            self._write([record])
            return
        self._waiting.append(record)
        if len(self._waiting) >= self._wait:
            self._start()

    def finish(self) -> None:
        """Complete the file; report members of the input that are not in it."""
        self.close()
        if self._missing:
            names = ", ".join(self._missing)
            count = f"{self._wait:,} texts" if self._wait > 1 else "text"
            print(f"hanner: {names}: not in {self._path}, no text of the first {count} has it", file=sys.stderr)

    def close(self) -> None:
        """Complete the file with the records so far, also if the run ends early."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            if self._fields is None:
                self._start()
        finally:
            with os_errors_as_hanner_errors(self._path):
                self._writer.close()

    def _start(self) -> None:
        """Write the header, and the records that were kept."""
        fields = dict.fromkeys(name for record in self._waiting for name in record.fields)
        self._fields = list(fields)
        names = own_names(self._unit, fields)
        with os_errors_as_hanner_errors(self._path):
            self._writer.start([*self._fields, *names.values()])
        self._write(self._waiting)
        self._waiting.clear()

    def _write(self, records: Iterable[Record]) -> None:
        assert self._fields is not None
        with os_errors_as_hanner_errors(self._path):
            for record in records:
                cells = [plain(record.fields.get(name)) for name in self._fields]
                if len(record.fields) > len(cells) or not record.fields.keys() <= set(self._fields):
                    self._missing |= dict.fromkeys(name for name in record.fields if name not in self._fields)
                for row in make_rows(record, self._unit):
                    self._writer.write([*cells, *row.values()])
