"""CoNLL-2003's columns with BIO tags, as in Chinese data sets: a character and its tag on each line.

A text ends with a blank line. White space has no line, because readers of the format would see a blank line; an entity
continues across it. A text that failed is one line, `# hanner error CODE: MESSAGE`, which has no tab.
"""

from typing import TYPE_CHECKING

from hanner.cli.formats.base import Format, Record, one_line

if TYPE_CHECKING:
    from hanner.results import Entity


class Conll(Format):
    """One character per line, a tab, B-TYPE, I-TYPE or O."""

    def render(self, record: Record) -> str:
        """Return a line for each character, and a blank line."""
        error = record.document.error
        if error is not None:
            return f"# hanner error {error.code}: {one_line(error.message)}\n\n"
        text = record.text or ""
        tags = bio(text, record.document.entities)
        return "".join(f"{character}\t{tag}\n" for character, tag in tags) + "\n"

    def ends_record(self, line: bytes) -> bool:
        """Return whether the line is blank."""
        return line == b"\n"

    def matches(self, lines: str, text: str | None) -> bool:
        """Return whether the characters are the text's without white space; True for a text that failed."""
        if lines.startswith("# hanner error "):
            return True
        written = "".join(line.partition("\t")[0] for line in lines.split("\n"))
        return written == "".join(character for character in text or "" if not character.isspace())


def bio(text: str, entities: "tuple[Entity, ...]") -> list[tuple[str, str]]:
    """Return each character of the text that is not white space, with its tag."""
    tags = ["O"] * len(text)
    for entity in entities:
        inside = [index for index in range(entity.start, entity.end) if not text[index].isspace()]
        for place, index in enumerate(inside):
            tags[index] = f"{'I' if place else 'B'}-{entity.type}"
    return [(character, tag) for character, tag in zip(text, tags, strict=True) if not character.isspace()]
