"""The output formats of `hanner extract`. They are pure: they render records as text, and find them in text again."""

from enum import StrEnum
from pathlib import Path

from hanner.cli.errors import UsageError
from hanner.cli.formats.base import Format, Record
from hanner.cli.formats.conll import Conll
from hanner.cli.formats.html import Html
from hanner.cli.formats.jsonl import Jsonl
from hanner.cli.formats.labelstudio import LabelStudio
from hanner.cli.formats.rows import RowUnit
from hanner.cli.formats.spacy import SpacyJson

__all__ = [
    "TABLES",
    "Format",
    "FormatName",
    "Record",
    "RowUnit",
    "default_format",
    "line_format",
    "needs_model",
    "suffix_format",
]


class FormatName(StrEnum):
    """The choices of `--format`."""

    TABLE = "table"
    JSONL = "jsonl"
    HTML = "html"
    CONLL = "conll"
    BRAT = "brat"
    SPACY = "spacy"
    LABELSTUDIO = "labelstudio"
    CSV = "csv"
    TSV = "tsv"
    XLSX = "xlsx"
    PARQUET = "parquet"


_LINES: dict[FormatName, type[Format]] = {
    FormatName.JSONL: Jsonl,
    FormatName.HTML: Html,
    FormatName.CONLL: Conll,
    FormatName.SPACY: SpacyJson,
    FormatName.LABELSTUDIO: LabelStudio,
}
TABLES = {FormatName.CSV, FormatName.TSV, FormatName.XLSX, FormatName.PARQUET}
"""Formats with rows and columns, for other programs."""
_SUFFIXES = {
    ".jsonl": FormatName.JSONL,
    ".ndjson": FormatName.JSONL,
    ".html": FormatName.HTML,
    ".htm": FormatName.HTML,
    ".conll": FormatName.CONLL,
    ".spacy": FormatName.SPACY,
    **{f".{form}": form for form in (FormatName.CSV, FormatName.TSV, FormatName.XLSX, FormatName.PARQUET)},
}


def line_format(name: FormatName) -> Format:
    """Return a format that is one file of lines, which brat and the table are not."""
    return _LINES[name]()


def needs_model(name: FormatName) -> bool:
    """Return whether the records of a format need the model's id."""
    return name in _LINES and _LINES[name].needs_model


def default_format(output: Path | None, *, terminal: bool) -> FormatName:
    """Return the format by the output's suffix; without an output, a table in a terminal and JSONL in a pipe.

    Raises:
        UsageError: the suffix does not name a format.
    """
    if output is None:
        return FormatName.TABLE if terminal else FormatName.JSONL
    form = suffix_format(output)
    if form is None and output.exists() and not output.is_file():
        return FormatName.JSONL  # a device, a pipe or a folder
    if form is None:
        suffixes = ", ".join(sorted(_SUFFIXES))
        raise UsageError(f"{output} has no suffix of an output format ({suffixes}); use one, or add --format")
    return form


def suffix_format(output: Path) -> FormatName | None:
    """Return the format that the suffix of a file means; None for an unknown suffix."""
    return _SUFFIXES.get(output.suffix.lower())
