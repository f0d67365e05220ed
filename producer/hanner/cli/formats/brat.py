"""brat's standoff format: a text file and a file of annotations with offsets (brat.nlplab.org/standoff.html).

A document has several texts, one after the other, because brat shows one document at a time.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hanner.cli.formats.base import Record, one_line

ERROR = "ERROR"
"""Type of the annotation on a text that failed; its note has the code."""
UNREADABLE = "\ufffd"
"""Placeholder for a text that could not be read, because an annotation needs at least one character."""
COMMON_TYPES = ("PER", "LOC", "ORG")


@dataclass(frozen=True, slots=True)
class BratDocument:
    """The contents of NAME.txt and NAME.ann, and the entity types in them."""

    text: str
    annotations: str
    types: frozenset[str]


def make_document(records: Sequence[Record]) -> BratDocument:
    """Return a document of the texts, each followed by a newline, with their entities' offsets in the document."""
    texts, lines, types = [], [], set()
    start = count = notes = 0
    for record in records:
        # brat reads a single carriage return as a line break, which would shift the offsets after it.
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


def make_configuration(types: Iterable[str]) -> str:
    """Return annotation.conf, which lists the types for brat; all four sections are required."""
    names = sorted({*COMMON_TYPES, *types})
    return "[entities]\n" + "".join(f"{name}\n" for name in names) + "\n[relations]\n\n[events]\n\n[attributes]\n"


def parse_types(configuration: str) -> set[str]:
    """Return the entity types of an annotation.conf."""
    section = configuration.partition("[entities]")[2].partition("[")[0]
    return set(section.split())


def type_name(kind: str) -> str:
    """Return a valid name for brat, with only letters, digits, hyphens and underscores."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", kind) or "_"


def _fragments(text: str, first: int, end: int, start: int) -> str:
    """Return offsets and text of a span; a span with line breaks is split, because an annotation is one line."""
    parts = [(first + m.start(), first + m.end()) for m in re.finditer(r"[^\n]+", text[first:end])]
    offsets = ";".join(f"{start + a} {start + b}" for a, b in parts)
    return f"{offsets}\t{' '.join(text[a:b] for a, b in parts)}\n"
