"""Entities as the caller wants them: filtered, and with offsets in the caller's unit. Pure."""

from collections.abc import Callable, Iterable, Sequence

from hanner.contract import Document, Entity
from hanner_gateway.schemas import Options, Unit

LAST_OF_PLANE_0 = "\uffff"
"""What comes after takes two units of UTF-16."""


def shaped(text: str, entities: Iterable[Entity], options: Options) -> list[Entity]:
    """Return the entities that the options keep, their offsets in the options' unit.

    Args:
        text: The text they were found in.
        entities: Sorted, not overlapping, offsets in code points.
        options: What is wanted.
    """
    kept = [
        entity
        for entity in entities
        if entity.score >= options.min_score and (options.types is None or entity.type in options.types)
    ]
    return moved(text, kept, options.offsets)


def shaped_document(text: str, document: Document, options: Options) -> Document:
    """Return a document whose entities are `shaped`."""
    return document if document.error else Document(entities=tuple(shaped(text, document.entities, options)))


def moved(text: str, entities: Sequence[Entity], unit: Unit) -> list[Entity]:
    """Return the entities with offsets in `unit`, given offsets in code points."""
    width = WIDTHS.get(unit)
    if width is None or not entities or text.isascii() or (unit is Unit.UTF16 and max(text) <= LAST_OF_PLANE_0):
        return list(entities)
    result, seen, offset = [], 0, 0
    for entity in entities:
        start = offset + width(text[seen : entity.start])
        offset = start + width(text[entity.start : entity.end])
        seen = entity.end
        result.append(entity.model_copy(update={"start": start, "end": offset}))
    return result


def _utf16(part: str) -> int:
    return len(part) + sum(character > LAST_OF_PLANE_0 for character in part)


def _utf8(part: str) -> int:
    return len(part.encode())


WIDTHS: dict[Unit, Callable[[str], int]] = {Unit.UTF16: _utf16, Unit.BYTE: _utf8}
"""How long a part of a text is in each unit."""
