"""The options of a request applied to its entities: filters, and offsets in the client's unit. Pure functions."""

from collections.abc import Callable, Iterable, Sequence

from hanner.results import Document, Entity
from hanner_gateway.schemas import Options, Unit

LAST_BMP_CHARACTER = "\uffff"
"""Characters after it are outside the basic multilingual plane and take two units of UTF-16."""


def apply_options(text: str, entities: Iterable[Entity], options: Options) -> list[Entity]:
    """Return the entities that pass the options' filters, with offsets in the options' unit.

    Args:
        text: The text that has the entities.
        entities: Sorted, not overlapping, offsets in code points.
        options: The filters and the unit.
    """
    kept = [
        entity
        for entity in entities
        if entity.score >= options.min_score and (options.types is None or entity.type in options.types)
    ]
    return convert_offsets(text, kept, options.offsets)


def apply_options_to_document(text: str, document: Document, options: Options) -> Document:
    """Return the document after `apply_options`; a document with an error is returned unchanged."""
    if document.error:
        return document
    return document.model_copy(update={"entities": tuple(apply_options(text, document.entities, options))})


def convert_offsets(text: str, entities: Sequence[Entity], unit: Unit) -> list[Entity]:
    """Return the entities with offsets in `unit`, given offsets in code points."""
    width = WIDTHS.get(unit)
    if width is None or not entities or text.isascii() or (unit is Unit.UTF16 and max(text) <= LAST_BMP_CHARACTER):
        return list(entities)
    result, position, offset = [], 0, 0
    for entity in entities:
        start = offset + width(text[position : entity.start])
        offset = start + width(text[entity.start : entity.end])
        position = entity.end
        result.append(Entity(text=entity.text, type=entity.type, start=start, end=offset, score=entity.score))
    return result


def _utf16_width(part: str) -> int:
    return len(part) + sum(character > LAST_BMP_CHARACTER for character in part)


def _utf8_width(part: str) -> int:
    return len(part.encode())


WIDTHS: dict[Unit, Callable[[str], int]] = {Unit.UTF16: _utf16_width, Unit.BYTE: _utf8_width}
"""Function that returns the length of a text in each unit."""
