"""Texts in tables: CSV, TSV and workbooks. The other columns of a row are kept."""

import csv
import datetime as dt
import importlib
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hanner.errors import InvalidText
from hanner.files.lines import read_lines
from hanner.files.options import FileFormat, InputItem, InputOptions
from hanner.files.sources import Source
from hanner.utils.packaging import install_hint

if TYPE_CHECKING:
    import _csv

TEXT_COLUMNS = ("text", "content", "body", "sentence", "文本", "正文", "内容", "文字", "句子", "原文")
"""Names of the column with the text, most likely first; their case does not matter."""
RESULT_COLUMNS = {"text", "entities", "error"}
"""Names of the output's own members; columns of the input that are called so get the prefix `input_`."""
DELIMITERS = ",;\t|"


def read_csv(source: Source, options: InputOptions, form: FileFormat) -> Iterator[InputItem]:
    """Yield the texts of a CSV or TSV file, row by row.

    Raises:
        InvalidText: the column is not known, or a quote is not closed.
    """
    errors: list[str] = []

    def lines() -> Iterator[str]:
        for line in read_lines(source, options):
            if line.error is not None:
                errors.append(f"line {line.number:,} of {source.name} {line.error}")
            yield line.text or "\n"

    csv.field_size_limit(options.max_bytes)
    content = lines()
    first = next(content, "")
    delimiter = "\t" if form is FileFormat.TSV else max(DELIMITERS, key=first.count)
    rows = csv.reader(_chain(first, content), delimiter=delimiter)
    yield from _items(_checked(rows, errors, source.name), source.name, options)


def read_workbook(source: Source, options: InputOptions) -> Iterator[InputItem]:
    """Yield the texts of one sheet of a workbook, row by row. The workbook is read into memory.

    Raises:
        InvalidText: it is not a workbook, the sheet or the column is not known, or the reader is not installed.
    """
    try:
        calamine: Any = importlib.import_module("python_calamine")
    except ImportError:
        raise InvalidText(f"a workbook needs a reader: {install_hint('files')}") from None
    try:
        workbook = calamine.CalamineWorkbook.from_filelike(io.BytesIO(source.read()))
        name = _choose_sheet(workbook, source.name, options)
        table = workbook.get_sheet_by_name(name).to_python(skip_empty_area=True)
    except (calamine.CalamineError, OSError, ValueError) as error:
        if isinstance(error, InvalidText):
            raise
        raise InvalidText(f"{source.name} is not a workbook that can be read ({error})") from None
    rows = (([_plain(cell) for cell in row], None) for row in table)
    yield from _items(rows, source.name, options)


def _choose_sheet(workbook: Any, place: str, options: InputOptions) -> str:
    names: list[str] = workbook.sheet_names
    if options.sheet is not None:
        if options.sheet not in names:
            raise InvalidText(f"{place} has no sheet {options.sheet!r}; its sheets are: {', '.join(names)}")
        return options.sheet
    filled = [name for name in names if workbook.get_sheet_by_name(name).height]
    if len(filled) > 1:
        others = ", ".join(filled[1:])
        options.notify(f"{place}: the sheet {filled[0]} is read; for another one ({others}), add --sheet NAME")
    return filled[0] if filled else names[0]


def _plain(cell: Any) -> Any:
    """Return a cell as a JSON value: whole numbers without a fraction, dates in ISO format."""
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    if isinstance(cell, dt.datetime | dt.date | dt.time):
        return cell.isoformat()
    if isinstance(cell, dt.timedelta):
        return str(cell)
    return cell


def _chain(first: str, rest: Iterable[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _checked(
    rows: "_csv.Reader",
    errors: list[str],
    place: str,
) -> Iterator[tuple[list[str], str | None]]:
    """Yield each row with the error of its lines."""
    while True:
        start = rows.line_num
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise InvalidText(
                f"{place} is not CSV from line {start + 1:,} on ({error}); check for a quote that is not closed"
            ) from None
        yield row, errors[0] if errors else None
        errors.clear()


def _items(rows: Iterable[tuple[Sequence[Any], str | None]], place: str, options: InputOptions) -> Iterator[InputItem]:
    """Yield an item for each row that is not blank, after the header."""
    names: list[str] | None = None
    index = number = 0
    for row, error_of_line in rows:
        number += 1
        if names is None:
            names = _column_names(row) if options.header else [f"column_{n}" for n in range(1, len(row) + 1)]
            index = _choose_column(names, place, options)
            if options.header:
                continue
        if not row:
            continue
        fields = _fields(names, row, index)
        error = error_of_line
        if error is None and index >= len(row):
            error = f"row {number:,} of {place} has {len(row)} cells and no column {names[index]!r}"
        cell = row[index] if index < len(row) else None
        yield InputItem(None if cell is None else str(cell), error, fields)


def _column_names(row: Sequence[Any]) -> list[str]:
    """Return unique names of columns; a column without a name is called by its number."""
    names: list[str] = []
    for number, cell in enumerate(row, 1):
        name = str(cell).strip() if cell not in {None, ""} else f"column_{number}"
        names.append(name if name not in names else f"{name}_{number}")
    return names


def _choose_column(names: list[str], place: str, options: InputOptions) -> int:
    """Return the index of the column with the text.

    Raises:
        InvalidText: there is no such column, or several may be meant.
    """
    wanted = options.column
    listed = ", ".join(names)
    if wanted is not None:
        if wanted in names:
            return names.index(wanted)
        if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
            return int(wanted) - 1
        raise InvalidText(f"{place} has no column {wanted!r}; its columns are: {listed}")
    if len(names) == 1:
        return 0
    lower = [name.casefold() for name in names]
    for name in TEXT_COLUMNS:
        if name in lower:
            return lower.index(name)
    raise InvalidText(f"{place} has several columns; name the one with the texts with --column: {listed}")


def _fields(names: list[str], row: Sequence[Any], text_index: int) -> dict[str, Any]:
    """Return the other columns of a row by name."""
    fields = {}
    for index, cell in enumerate(row):
        if index != text_index:
            name = names[index] if index < len(names) else f"column_{index + 1}"
            fields[f"input_{name}" if name in RESULT_COLUMNS else name] = cell
    return fields
