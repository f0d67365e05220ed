"""The base class of formats: a header, lines for each record, a footer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from hanner.results import Document


@dataclass(frozen=True, slots=True)
class Record:
    """A text and its result.

    Attributes:
        number: Its index in the output, from 0.
        text: The text; None if it could not be read.
        document: Its entities or its error.
        fields: The other members of its input line.
        model: NAME@DIGEST8 of the model, if the format needs it.
    """

    number: int
    text: str | None
    document: "Document"
    fields: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""


class Format(ABC):
    """Renders records as lines of one file, in which the last complete record can be found again.

    Attributes:
        header: Whole lines before all records.
        footer: Whole lines after all records; the first footer line must differ from every line that a record can
            contain.
        needs_model: Whether records need the model's id.
        encoding_errors: The codec error handler for characters that the output's encoding lacks.
    """

    header: ClassVar[str] = ""
    footer: ClassVar[str] = ""
    needs_model: ClassVar[bool] = False
    encoding_errors: ClassVar[str] = "replace"

    @abstractmethod
    def render(self, record: Record) -> str:
        """Return the lines of a record, each with its newline."""

    def ends_record(self, line: bytes) -> bool:
        """Return whether a line, with its newline, is the last one of a record."""
        return line.endswith(b"\n")

    def matches(self, lines: str, text: str | None) -> bool:
        """Return whether the lines can be the record of this text, as far as the format shows it."""
        del lines, text
        return True


def one_line(message: str) -> str:
    """Return the message without line breaks."""
    return " ".join(message.split())
