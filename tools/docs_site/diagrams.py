"""The drawings of Mermaid diagrams: GitHub draws their source, the site shows committed SVG files.

So the site loads no script from another host. `make diagrams` draws them again, with Mermaid in a browser.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docs_site.pages import DOCS, pages

FOLDER = DOCS / "diagrams"
BLOCK = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r"^\s*accTitle: (.*)$", re.MULTILINE)
NOTE = "<!-- source: {} -->"


class Diagram(NamedTuple):
    """A Mermaid diagram of a page."""

    page: str
    source: str
    file: Path

    @property
    def title(self) -> str:
        """Return its accessible title.

        Raises:
            ValueError: if it has none.
        """
        found = TITLE.search(self.source)
        if found is None:
            raise ValueError(f"a diagram in {self.page} has no title; add a line `accTitle: …` to it")
        return found[1]

    @property
    def note(self) -> str:
        """Return the comment that a current drawing ends with."""
        return NOTE.format(hashlib.sha256(self.source.encode()).hexdigest())

    def is_drawn(self) -> bool:
        """Return whether the drawing exists and is current."""
        return self.file.is_file() and self.file.read_text("utf-8").rstrip().endswith(self.note)


def diagrams(page: str, text: str) -> Iterator[Diagram]:
    """Yield the diagrams in the text of a page."""
    for number, block in enumerate(BLOCK.findall(text), 1):
        yield Diagram(page, block, FOLDER / f"{Path(page).stem}-{number}.svg")


def all_diagrams() -> list[Diagram]:
    """Return the diagrams of all pages."""
    return [each for name, file in pages().items() for each in diagrams(name, file.read_text("utf-8"))]
