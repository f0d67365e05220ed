"""What a format is: a header, lines for each record, a footer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hanner.contract import Document


@dataclass(frozen=True, slots=True)
class Record:
    """A text and what became of it.

    Attributes:
        number: Its place in the output, from 0.
        text: The text; None when it could not be read.
        document: Its entities or its error.
        fields: What else the input line said of it.
        model: NAME@DIGEST8 of the model, where the format asks for it.
    """

    number: int
    text: str | None
    document: Document
    fields: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""


class Format(ABC):
    """Writes records as lines of one file, of which the last complete one can be found again.

    Attributes:
        header: What stands before all records: whole lines.
        footer: What stands after them: whole lines, the first of which is no line of any record.
        needs_model: Whether records must name the model.
        unencodable: The codec error handler for characters that the output's encoding lacks.
    """

    header: ClassVar[str] = ""
    footer: ClassVar[str] = ""
    needs_model: ClassVar[bool] = False
    unencodable: ClassVar[str] = "replace"

    @abstractmethod
    def render(self, record: Record) -> str:
        """Return the lines of a record, each with its newline."""

    def ends_record(self, line: bytes) -> bool:
        """Say whether a line, newline included, is the last one of a record."""
        return line.endswith(b"\n")

    def continues(self, lines: str, text: str | None) -> bool:
        """Say whether a record's lines can be those of this text, as far as they tell."""
        del lines, text
        return True


def one_line(message: str) -> str:
    """Return a sentence without line breaks."""
    return " ".join(message.split())
