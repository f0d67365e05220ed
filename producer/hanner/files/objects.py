"""Texts in JSON: one value per line, or one array. The other members of an object are kept."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hanner.errors import InvalidText
from hanner.files.lines import read_lines, read_text
from hanner.files.options import InputItem, InputOptions
from hanner.files.sources import Source

RESULT_MEMBERS = {"entities", "error"}
"""Members of hanner's own output, which are replaced if it is read again."""


def read_json_lines(source: Source, options: InputOptions) -> Iterator[InputItem]:
    """Yield the texts of a file with one JSON value per line. An invalid line fails alone."""
    for line in read_lines(source, options):
        place = f"line {line.number:,} of {source.name}"
        if line.error is not None or line.text is None:
            yield InputItem(line.text and line.text.rstrip("\r\n"), f"{place} {line.error}")
        elif not line.text.strip():
            yield InputItem("")
        else:
            try:
                value = json.loads(line.text)
            except (ValueError, RecursionError) as error:
                yield InputItem(None, f"{place} is not JSON ({error})")
            else:
                yield from_value(value, place, options.member)


def read_json_array(source: Source, options: InputOptions) -> Iterator[InputItem]:
    """Yield the texts of a file with one JSON array, or with one object. The file is read into memory.

    Raises:
        InvalidText: the file is not JSON.
    """
    text = read_text(source, options)
    scanner = json.JSONDecoder()
    position = _skip_spaces(text, 0)
    if text[position : position + 1] != "[":
        yield from_value(_parse(text, source.name), source.name, options.member)
        return
    position, number = _skip_spaces(text, position + 1), 0
    while text[position : position + 1] != "]":
        try:
            value, position = scanner.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", error)
            raise InvalidText(f"{source.name} is not JSON ({reason} in item {number + 1:,}); {_LINES}") from None
        number += 1
        yield from_value(value, f"item {number:,} of {source.name}", options.member)
        position = _skip_spaces(text, position)
        separator = text[position : position + 1]
        if separator not in {",", "]"}:
            raise InvalidText(f"{source.name} is not JSON (a comma is missing after item {number:,}); {_LINES}")
        position = _skip_spaces(text, position + (separator == ","))
    if text[position + 1 :].strip():
        raise InvalidText(f"{source.name} is not JSON (text follows the array); {_LINES}")


_LINES = "for one JSON value per line, name it .jsonl or add --input-format jsonl"


def _parse(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidText(f"{name} is not JSON ({error}); {_LINES}") from None


def _skip_spaces(text: str, position: int) -> int:
    while text[position : position + 1] in {" ", "\t", "\r", "\n"}:
        position += 1
    return position


def from_value(value: Any, place: str, member: str) -> InputItem:
    """Return the text in a JSON value, which is a string, or an object with the text in a member.

    Args:
        value: The value.
        place: Its place in the input, for errors.
        member: The member; dots lead to nested members, if no member has the whole name.
    """
    if isinstance(value, str):
        return InputItem(value)
    if not isinstance(value, dict):
        return InputItem(None, f'{place} has no text; write {{"{member}": "…"}} or a string')
    text, rest = _take(value, member)
    fields = {_free_name(name): other for name, other in rest.items() if name not in RESULT_MEMBERS}
    if isinstance(text, str):
        return InputItem(text, fields=fields)
    names = ", ".join(map(str, value)) or "none"
    reason = (
        f'has no text in the member "{member}"' if text is None else f'has a member "{member}" that is not a string'
    )
    return InputItem(None, f"{place} {reason}; its members are: {names}; name one with --member", fields=fields)


def _take(value: Mapping[str, Any], path: str) -> tuple[Any, dict[str, Any]]:
    """Return the member at a path, and a copy of the object without it; None if it is missing."""
    rest = dict(value)
    if path in rest:
        return rest.pop(path), rest
    first, _, inner = path.partition(".")
    if inner and isinstance(rest.get(first), dict):
        text, rest[first] = _take(rest[first], inner)
        return text, rest
    return None, rest


def _free_name(name: str) -> str:
    """Return the name of a member in the output, where `text` is the text that was sent."""
    return "input_text" if name == "text" else name
