"""Rows of tables (CSV, Excel, Parquet): one per entity or one per text. The columns of the input come first. Pure."""

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from hanner.cli.formats.base import Record, one_line


class RowUnit(StrEnum):
    """The choices of `--rows`."""

    ENTITIES = "entities"
    TEXTS = "texts"


OWN_COLUMNS = {
    RowUnit.ENTITIES: ("text", "entity", "type", "start", "end", "score", "error"),
    RowUnit.TEXTS: ("text", "entities", "error"),
}
"""The columns that hanner adds."""
NUMBERS = {"start": int, "end": int, "score": float}
"""Those of its columns that are numbers."""


def own_names(unit: RowUnit, fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of hanner's columns in the table: with a prefix where the input has a column of that name."""
    return {name: f"hanner_{name}" if name in fields else name for name in OWN_COLUMNS[unit]}


def make_rows(record: Record, unit: RowUnit) -> Iterator[dict[str, Any]]:
    """Yield the values of hanner's columns: a row for each entity, or one for the text.

    A text without entities has one row without an entity, so that no text is missing.
    """
    failure = record.document.error
    error = None if failure is None else one_line(f"{failure.code}: {failure.message}")
    entities = record.document.entities
    if unit is RowUnit.TEXTS:
        yield {"text": record.text, "entities": json.dumps(entities, ensure_ascii=False), "error": error}
        return
    empty = dict.fromkeys(OWN_COLUMNS[unit]) | {"text": record.text, "error": error}
    if not entities:
        yield empty
    for entity in entities:
        yield empty | entity | {"text": record.text, "entity": entity.text}


def plain(value: Any) -> str | None:
    """Return the value of an input's member as a cell: text as it is, other values as JSON, null as nothing."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
