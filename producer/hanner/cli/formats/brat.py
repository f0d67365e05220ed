"""brat's standoff: a text file, and beside it one of annotations with offsets into it (brat.nlplab.org/standoff.html).

A document holds several texts, one after the other, for brat shows a document at a time.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hanner.cli.formats.base import Record, one_line

ERROR = "ERROR"
"""Type of the annotation that covers a text which failed; a note on it has the code."""
UNREADABLE = "\ufffd"
"""Stands for a text that could not be read, so that the note has something to stand on."""
USUAL = ("PER", "LOC", "ORG")


@dataclass(frozen=True, slots=True)
class BratDocument:
    """The contents of NAME.txt and of NAME.ann, and the types used there."""

    text: str
    annotations: str
    types: frozenset[str]


def document(records: Sequence[Record]) -> BratDocument:
    """Put texts together, each followed by a newline, with their entities' offsets in the whole."""
    texts, lines, types = [], [], set()
    start = count = notes = 0
    for record in records:
        # A carriage return of its own would be read as a line break, and move what follows.
        text = (record.text or "").replace("\r", " ")
        error = record.document.error
        spans = [(entity.type, entity.start, entity.end) for entity in record.document.entities]
        if error is not None:
            text = text if text.strip() else UNREADABLE
            spans = [(ERROR, 0, len(text))]
        for kind, first, end in spans:
            count += 1
            name = type_name(kind)
            types.add(name)
            lines.append(f"T{count}\t{name} {_fragments(text, first, end, start)}")
        if error is not None:
            notes += 1
            lines.append(f"#{notes}\tAnnotatorNotes T{count}\t{error.code}: {one_line(error.message)}\n")
        texts.append(text + "\n")
        start += len(text) + 1
    return BratDocument("".join(texts), "".join(lines), frozenset(types))


def configuration(types: Iterable[str]) -> str:
    """Return annotation.conf, which brat needs to know the types; all four sections must be there."""
    names = sorted({*USUAL, *types})
    return "[entities]\n" + "".join(f"{name}\n" for name in names) + "\n[relations]\n\n[events]\n\n[attributes]\n"


def types_in(configured: str) -> set[str]:
    """Return the entity types of an annotation.conf."""
    section = configured.partition("[entities]")[2].partition("[")[0]
    return set(section.split())


def type_name(kind: str) -> str:
    """Return a type fit for brat, whose types are letters, digits, hyphens and underscores."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", kind) or "_"


def _fragments(text: str, first: int, end: int, start: int) -> str:
    """Return offsets and text of a span; one that runs over line breaks is in parts, for annotations are lines."""
    parts = [(first + m.start(), first + m.end()) for m in re.finditer(r"[^\n]+", text[first:end])]
    offsets = ";".join(f"{start + a} {start + b}" for a, b in parts)
    return f"{offsets}\t{' '.join(text[a:b] for a, b in parts)}\n"
