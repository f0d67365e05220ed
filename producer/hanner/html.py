"""Texts with their entities as HTML. Everything of a text is escaped; types are named in words, not by colour alone."""

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hanner.contract import Document, Entity

TINTS = {"PER": "0,145,190", "LOC": "205,40,130", "ORG": "200,135,0"}
"""Red, green and blue of each type; used translucent, so that they suit light pages and dark ones."""
OTHER = "120,120,140"
BREAKS = {"\r": "&#13;", "\n": "&#10;", "\0": "\ufffd"}
"""What keeps a text on one line of the file, and what HTML cannot have."""


def escaped(text: str) -> str:
    """Return a text as HTML without line breaks of its own; lone surrogates become U+FFFD."""
    safe = escape(text.encode("utf-8", "replace").decode() if not _encodable(text) else text)
    for character, entity in BREAKS.items():
        safe = safe.replace(character, entity)
    return safe


def highlighted(text: str, entities: "Sequence[Entity]", opening: "Callable[[Entity], str]", label: str) -> str:
    """Return a text with its entities in marks.

    Args:
        text: The text.
        entities: Its entities, sorted and never overlapping.
        opening: From an entity to the tag that opens its mark.
        label: The tag that opens the name of its type, a `small`.
    """
    parts, end = [], 0
    for entity in entities:
        parts.append(escaped(text[end : entity.start]))
        parts.append(f"{opening(entity)}{escaped(text[entity.start : entity.end])}")
        parts.append(f"{label}{escaped(entity.type)}</small></mark>")
        end = entity.end
    return "".join(parts) + escaped(text[end:])


def hint(entity: "Entity") -> str:
    """Return what a mark says when pointed at, escaped."""
    return escaped(f"{entity.type} {entity.start}–{entity.end}, score {entity.score:.3f}")


_LABEL = (
    '<small style="margin-left:.35em;font-size:.7em;font-weight:700;letter-spacing:.03em;color:inherit;'
    'user-select:none">'
)


def notebook(document: "Document", text: str | None) -> str:
    """Return a document for a notebook: one element with its styles inside, for light themes and dark ones.

    Args:
        document: The document.
        text: Its text where it is known; else the entities are listed by themselves.
    """
    if document.error is not None:
        body = f"<strong>{escaped(document.error.code)}</strong>: {escaped(document.error.message)}"
        body += f"<br>{escaped(text)}" if text else ""
    elif text is not None:
        body = highlighted(text, document.entities, _mark, _LABEL) or "<em>an empty text</em>"
    else:
        body = " ".join(
            highlighted(entity.text, [entity.model_copy(update={"start": 0, "end": len(entity.text)})], _mark, _LABEL)
            for entity in document.entities
        )
        body = body or "<em>no entities</em>"
    return f'<div lang="zh" style="line-height:2;white-space:pre-wrap;overflow-wrap:anywhere">{body}</div>'


def _mark(entity: "Entity") -> str:
    tint = TINTS.get(entity.type, OTHER)
    return (
        f'<mark title="{hint(entity)}" style="color:inherit;background:rgba({tint},.2);'
        f'border-bottom:2px solid rgb({tint});border-radius:3px;padding:.1em .3em">'
    )


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
