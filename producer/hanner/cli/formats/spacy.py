"""spaCy's training data. As JSON Lines: a text and the `entities` that `Example.from_dict` takes. As a DocBin: .spacy.

Only the DocBin needs spaCy. Its tokens are characters, as in `spacy.blank("zh")`.
"""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hanner.cli.formats.base import Record
from hanner.cli.formats.jsonl import JsonFormat, dumps
from hanner.cli.usage_error import Misused


class SpacyJson(JsonFormat):
    """`{"text": …, "entities": [[start, end, label], …]}`; what else the input said is `meta`."""

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

    def continues(self, lines: str, text: str | None) -> bool:
        """Say whether the line has this text."""
        return super().continues(lines, text or "")


class DocBinWriter:
    """Gathers spaCy documents and writes them as one .spacy file. Texts that failed are left out: they teach nothing.

    Raises:
        Misused: spaCy is not installed.
    """

    def __init__(self) -> None:
        try:
            spacy = importlib.import_module("spacy")
            tokens = importlib.import_module("spacy.tokens")
        except ImportError as error:
            raise Misused(
                f"a .spacy file needs spaCy ({error}): pip install spacy, or write JSON lines to a file named .jsonl"
            ) from None
        self._nlp = spacy.blank("zh")
        self._bin = tokens.DocBin(attrs=["ORTH", "SPACY", "ENT_IOB", "ENT_TYPE"])

    def add(self, records: Iterable[Record]) -> None:
        """Take records; those with an error are left out."""
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
