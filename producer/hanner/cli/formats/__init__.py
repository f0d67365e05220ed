"""The output formats of `hanner extract`. They are pure: they render records as text, and find them in text again."""

from enum import StrEnum
from pathlib import Path

from hanner.cli.formats.base import Format, Record
from hanner.cli.formats.conll import Conll
from hanner.cli.formats.html import Html
from hanner.cli.formats.jsonl import Jsonl
from hanner.cli.formats.labelstudio import LabelStudio
from hanner.cli.formats.spacy import SpacyJson

__all__ = ["Format", "FormatName", "Record", "default_format", "line_format"]


class FormatName(StrEnum):
    """The choices of `--format`."""

    TABLE = "table"
    JSONL = "jsonl"
    HTML = "html"
    CONLL = "conll"
    BRAT = "brat"
    SPACY = "spacy"
    LABELSTUDIO = "labelstudio"


_LINES: dict[FormatName, type[Format]] = {
    FormatName.JSONL: Jsonl,
    FormatName.HTML: Html,
    FormatName.CONLL: Conll,
    FormatName.SPACY: SpacyJson,
    FormatName.LABELSTUDIO: LabelStudio,
}
_SUFFIXES = {".html": FormatName.HTML, ".conll": FormatName.CONLL, ".spacy": FormatName.SPACY}


def line_format(name: FormatName) -> Format:
    """Return a format that is one file of lines, which brat and the table are not."""
    return _LINES[name]()


def default_format(output: Path | None, *, terminal: bool) -> FormatName:
    """Return the format by the output's suffix; without an output, a table in a terminal and JSONL in a pipe."""
    if output is not None:
        return _SUFFIXES.get(output.suffix.lower(), FormatName.JSONL)
    return FormatName.TABLE if terminal else FormatName.JSONL
