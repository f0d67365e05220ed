"""JSON Lines: one document per line, with whatever else its input line said. See jsonlines.org."""

import codecs
import json
from typing import Any

from hanner.cli.formats.base import Format, Record

ESCAPED = "hanner-json"
"""Codec error handler that writes what an encoding lacks as JSON's escapes; only strings have such characters."""


class JsonFormat(Format):
    """What the formats of one JSON object per record share."""

    unencodable = ESCAPED

    def continues(self, lines: str, text: str | None) -> bool:
        """Say whether the line has this text."""
        try:
            return self.text_in(json.loads(lines)) == text
        except (ValueError, TypeError, KeyError):
            return False

    def text_in(self, value: Any) -> str | None:
        """Return the text that a line's value has."""
        text: str | None = value["text"]
        return text


class Jsonl(JsonFormat):
    """`{"text": …, "entities": […]}`, with `error` where there are none for a reason."""

    def render(self, record: Record) -> str:
        """Return one line."""
        return dumps(
            {"text": record.text} | dict(record.fields) | record.document.model_dump(exclude_none=True, mode="json")
        )


def dumps(value: Any) -> str:
    """Return a value as a line of JSON, one for every reader: some end lines at U+2028, U+2029 and U+0085 too."""
    line = json.dumps(value, ensure_ascii=False)
    for character in "\u2028\u2029\x85":
        line = line.replace(character, f"\\u{ord(character):04x}")
    return line + "\n"


def _escape(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(ESCAPED, _escape)
