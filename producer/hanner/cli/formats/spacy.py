"""spaCy's training data: JSON Lines with the `entities` that `Example.from_dict` accepts, or a DocBin (.spacy).

Only the DocBin needs spaCy. Its tokens are characters, as in `spacy.blank("zh")`.
"""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hanner.cli.errors import UsageError
from hanner.cli.formats.base import Record
from hanner.cli.formats.jsonl import JsonFormat, dumps


class SpacyJson(JsonFormat):
    """`{"text": …, "entities": [[start, end, label], …]}`; other members of the input line are in `meta`."""

    def render(self, record: Record) -> str:
        """Return one line."""
        line: dict[str, Any] = {
            "text": record.text or "",
            "entities": [[entity.start, entity.end, entity.type] for entity in record.document.entities],
        }
        if record.fields:
            line["meta"] = dict(record.fields)
        if record.document.error is not None:
            line["error"] = record.document.error.model_dump()
        return dumps(line)

    def matches(self, lines: str, text: str | None) -> bool:
        """Return whether the line has this text."""
        return super().matches(lines, text or "")


class DocBinWriter:
    """Collects spaCy documents and writes them as one .spacy file. Texts that failed are omitted.

    Raises:
        UsageError: spaCy is not installed.
    """

    def __init__(self) -> None:
        try:
            spacy = importlib.import_module("spacy")
            tokens = importlib.import_module("spacy.tokens")
        except ImportError as error:
            raise UsageError(
                f"a .spacy file needs spaCy ({error}): pip install spacy, or write JSON lines to a file named .jsonl"
            ) from None
        self._nlp = spacy.blank("zh")
        self._bin = tokens.DocBin(attrs=["ORTH", "SPACY", "ENT_IOB", "ENT_TYPE"])

    def add(self, records: Iterable[Record]) -> None:
        """Add records; those with an error are omitted."""
        for record in records:
            if record.document.error is None and record.text is not None:
                self._bin.add(self._doc(record))

    def save(self, path: Path) -> None:
        """Write the file.

        Raises:
            OSError: it cannot be written.
        """
        path.write_bytes(self._bin.to_bytes())

    def _doc(self, record: Record) -> Any:
        doc = self._nlp.make_doc(record.text)
        spans = (doc.char_span(e.start, e.end, label=e.type) for e in record.document.entities)
        doc.set_ents([span for span in spans if span is not None])
        return doc
