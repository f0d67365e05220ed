"""What `hanner extract` can write. A format is pure: it turns records into text, and finds them in text again."""

from enum import StrEnum
from pathlib import Path

from hanner.cli.formats.base import Format, Record
from hanner.cli.formats.conll import Conll
from hanner.cli.formats.html import Html
from hanner.cli.formats.jsonl import Jsonl
from hanner.cli.formats.labelstudio import LabelStudio
from hanner.cli.formats.spacy import SpacyJson

__all__ = ["Format", "FormatName", "Record", "line_format", "name_for"]


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
    """Return a format that is one file of lines; brat and the table are none."""
    return _LINES[name]()


def name_for(output: Path | None, *, terminal: bool) -> FormatName:
    """Choose the format when none was named: by the output's suffix, else a table for people and JSONL for programs."""
    if output is not None:
        return _SUFFIXES.get(output.suffix.lower(), FormatName.JSONL)
    return FormatName.TABLE if terminal else FormatName.JSONL
