"""How files are read, and what reading them yields. No I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hanner.errors import InvalidSettings

MIN_LINE_BYTES = 16 << 20
"""Lower bound of the maximum line length, whatever HANNER_MAX_TEXT_CHARS is: JSON lines contain more than the text."""


class FileFormat(StrEnum):
    """Formats of input files."""

    TEXT = "text"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    TSV = "tsv"
    EXCEL = "excel"
    HTML = "html"


@dataclass(frozen=True, slots=True)
class InputItem:
    """One text of the input.

    Attributes:
        text: The text; None if there is no text, or it is too long to be kept.
        error: Why it is invalid; None if it is valid.
        fields: The other members of its JSON object, or the other columns of its row.
        offset: Bytes of all files that have been read at the end of this text; 0 for arguments and pipes.
    """

    text: str | None
    error: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    offset: int = 0


def _ignore(message: str) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class InputOptions:
    """How files are read.

    Attributes:
        encoding: Encoding of the files; None detects it, file by file.
        format: Format of the files; None decides by each file's suffix.
        member: Member of a JSON object that has the text; dots lead to nested members.
        column: Name of the column that has the text, or its number from 1; None finds it.
        sheet: Name of the sheet of a workbook; None for the first one with cells.
        header: Whether the first row of a table has the names of the columns.
        whole: Read each file as one text.
        max_chars: Maximum length of a text, in code points.
        notify: Receives sentences about decisions, such as a detected encoding.

    Raises:
        InvalidSettings: the encoding is unknown.
    """

    encoding: str | None = None
    format: FileFormat | None = None
    member: str = "text"
    column: str | None = None
    sheet: str | None = None
    header: bool = True
    whole: bool = False
    max_chars: int = 100_000
    notify: Callable[[str], None] = _ignore

    def __post_init__(self) -> None:
        if self.encoding is None:
            return
        try:
            "\n".encode(self.encoding)
            b"text".decode(self.encoding, "replace")
        except (LookupError, ValueError):  # ValueError: a null character in the name, or a codec that is not for files
            raise InvalidSettings(
                f"unknown encoding {self.encoding!r}; try utf-8, gb18030, big5 or utf-16, or omit it to detect it"
            ) from None

    @property
    def max_bytes(self) -> int:
        """Maximum bytes of a line, or of a whole file."""
        return max(MIN_LINE_BYTES, 8 * self.max_chars)
