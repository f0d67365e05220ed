"""JSON by pydantic's own parser and writer, which are there anyway: a third to a fifth of the standard library's time.

What they refuse (lone surrogates, deep nesting) the standard library decides on, so that errors stay as they were.
"""

import json
from typing import Any

from pydantic_core import from_json, to_json

_readable = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def loads(raw: bytes | str) -> Any:
    """Decode as `json.loads` does.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deep.
    """
    try:
        return from_json(raw)
    except ValueError:
        return json.loads(raw)


def dumps(value: Any) -> bytes:
    """Encode plain objects, texts as UTF-8 instead of escapes.

    Raises:
        TypeError: it is none that JSON has.
    """
    try:
        return to_json(value)
    except ValueError:
        return _readable(value).encode()
