"""JSON Lines: one document per line, with the other members of its input line. See jsonlines.org."""

import codecs
import json
from typing import Any

from hanner.cli.formats.base import Format, Record

ESCAPED = "hanner-json"
"""Codec error handler that writes characters that an encoding lacks as JSON escapes; they occur only in strings."""


class JsonFormat(Format):
    """Base class of the formats with one JSON object per record."""

    encoding_errors = ESCAPED

    def matches(self, lines: str, text: str | None) -> bool:
        """Return whether the line has this text."""
        try:
            return self.extract_text(json.loads(lines)) == text
        except (ValueError, TypeError, KeyError):
            return False

    def extract_text(self, value: Any) -> str | None:
        """Return the text in the value of a line."""
        text: str | None = value["text"]
        return text


class Jsonl(JsonFormat):
    """`{"text": …, "entities": […]}`, and `error` if the text failed."""

    def render(self, record: Record) -> str:
        """Return one line."""
        return dumps(
            {"text": record.text} | dict(record.fields) | record.document.model_dump(exclude_none=True, mode="json")
        )


def dumps(value: Any) -> str:
    """Return a value as a line of JSON; U+2028, U+2029 and U+0085 are escaped, where some readers break lines."""
    line = json.dumps(value, ensure_ascii=False)
    for character in "\u2028\u2029\x85":
        line = line.replace(character, f"\\u{ord(character):04x}")
    return line + "\n"


def _escape(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(ESCAPED, _escape)
