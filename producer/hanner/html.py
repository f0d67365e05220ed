"""Render texts and their entities as HTML. No I/O.

All text is escaped. Entity types are written out, so that they do not depend on colour alone.
"""

from collections.abc import Callable, Sequence
from html import escape
from typing import Protocol, TypeVar

TINTS = {"PER": "0,145,190", "LOC": "205,40,130", "ORG": "200,135,0"}
"""Red, green and blue of each type; used translucent, so that they suit light and dark pages."""
OTHER_TINT = "120,120,140"
REPLACEMENTS = {"\r": "&#13;", "\n": "&#10;", "\0": "\ufffd"}
"""Line breaks, to keep a text on one line of the file, and the character that HTML does not allow."""


class EntityLike(Protocol):
    """The attributes of an entity that are rendered; `hanner.results.Entity` has them."""

    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def start(self) -> int: ...  # noqa: D102
    @property
    def end(self) -> int: ...  # noqa: D102
    @property
    def score(self) -> float: ...  # noqa: D102


AnyEntity = TypeVar("AnyEntity", bound=EntityLike)


def escape_text(text: str) -> str:
    """Return a text as HTML without line breaks; lone surrogates become U+FFFD."""
    safe = escape(text if _is_encodable(text) else text.encode("utf-8", "replace").decode())
    for character, replacement in REPLACEMENTS.items():
        safe = safe.replace(character, replacement)
    return safe


def highlight(text: str, entities: Sequence[AnyEntity], opening_tag: Callable[[AnyEntity], str], label_tag: str) -> str:
    """Return a text with its entities in `mark` elements.

    Args:
        text: The text.
        entities: Its entities, sorted and never overlapping.
        opening_tag: Returns the opening tag of an entity's `mark`.
        label_tag: Opening tag of the `small` element with the entity's type.
    """
    parts, end = [], 0
    for entity in entities:
        parts.append(escape_text(text[end : entity.start]))
        parts.append(_mark(entity, text[entity.start : entity.end], opening_tag, label_tag))
        end = entity.end
    return "".join(parts) + escape_text(text[end:])


def tooltip(entity: EntityLike) -> str:
    """Return the escaped tooltip of an entity: type, offsets and score."""
    return escape_text(f"{entity.type} {entity.start}–{entity.end}, score {entity.score:.3f}")


def notebook_html(text: str | None, entities: Sequence[EntityLike], error: tuple[str, str] | None) -> str:
    """Return a document for a notebook: one element with inline styles, for light and dark themes.

    Args:
        text: The text if it is known; otherwise the entities are listed without it.
        entities: Its entities.
        error: Code and message, if there are no entities because of an error.
    """
    if error is not None:
        code, message = error
        body = f"<strong>{escape_text(code)}</strong>: {escape_text(message)}"
        body += f"<br>{escape_text(text)}" if text else ""
    elif text is not None:
        body = highlight(text, entities, _notebook_tag, _NOTEBOOK_LABEL) or "<em>an empty text</em>"
    else:
        marks = [_mark(entity, entity.text, _notebook_tag, _NOTEBOOK_LABEL) for entity in entities]
        body = " ".join(marks) or "<em>no entities</em>"
    return f'<div lang="zh" style="line-height:2;white-space:pre-wrap;overflow-wrap:anywhere">{body}</div>'


_NOTEBOOK_LABEL = (
    '<small style="margin-left:.35em;font-size:.7em;font-weight:700;letter-spacing:.03em;color:inherit;'
    'user-select:none">'
)


def _notebook_tag(entity: EntityLike) -> str:
    tint = TINTS.get(entity.type, OTHER_TINT)
    return (
        f'<mark title="{tooltip(entity)}" style="color:inherit;background:rgba({tint},.2);'
        f'border-bottom:2px solid rgb({tint});border-radius:3px;padding:.1em .3em">'
    )


def _mark(entity: AnyEntity, text: str, opening_tag: Callable[[AnyEntity], str], label_tag: str) -> str:
    return f"{opening_tag(entity)}{escape_text(text)}{label_tag}{escape_text(entity.type)}</small></mark>"


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
