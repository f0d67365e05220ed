"""Find the terms of a compiled dictionary in texts. Maps one file, whose memory all processes share.

compiled_file describes its format.
"""

import mmap
import re
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from unicodedata import combining

from marisa_trie import Trie

from hanner.results import Entity
from hanner_inference.dictionary.compiled_file import aligned, read_header
from hanner_inference.dictionary.parser import NOT_ENTITY, Folding

_SCORE = 1.0
_EAST_ASIAN = "\u2e80"
"""From this code point on, scripts have no spaces between words, except full-width Latin letters and digits."""


@dataclass(frozen=True, slots=True)
class Match:
    """Code points [start, end) are a term; `type` is NOT_ENTITY if they are not an entity."""

    start: int
    end: int
    type: str


class Matcher:
    """Finds the terms of a compiled dictionary.

    Attributes:
        digest: identifies content and folding.
        terms: number of terms.
        types: the types, without NOT_ENTITY.
    """

    def __init__(self, data: mmap.mmap) -> None:
        """Parse a compiled dictionary."""
        header, end = read_header(data)
        self.digest, self.terms, self.types = header.digest, header.terms, header.types[1:]
        self._types = header.types
        self._longest = header.longest
        self._folding = Folding(header.lowercase, header.half_width, header.traditional)
        view = memoryview(data)
        offset, size = aligned(end), 2 * header.terms
        self._codes = view[offset : offset + size].cast("H")
        self._trie = Trie().map(view[offset + aligned(size) :])
        self._start = re.compile(f"[{re.escape(header.starts)}]" if header.starts else "(?!)")

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map the file at `path`; it may be removed afterwards.

        Raises:
            OSError: if the file cannot be opened.
        """
        with path.open("rb") as stream:
            return cls(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))

    def find(self, text: str) -> list[Match]:
        """Return the terms in a text: leftmost first, the longest at each position, without overlaps.

        A term that starts or ends with a letter or digit does not match inside a longer word.
        """
        folded = self._folding(text)
        matches: list[Match] = []
        position = 0
        while (start := self._start.search(folded, position)) is not None:
            position = start.start()
            longest = None if _is_inside_word(folded, position) else self._longest_at(folded, position)
            if longest is None:
                position += 1
            else:
                matches.append(longest)
                position = longest.end
        return matches

    def _longest_at(self, folded: str, start: int) -> Match | None:
        longest = None
        for term, term_id in self._trie.iter_prefixes_with_ids(folded[start : start + self._longest]):
            end = start + len(term)
            if not _is_inside_word(folded, end):
                longest = end, term_id
        return longest and Match(start, longest[0], self._types[self._codes[longest[1]]])

    def apply(self, text: str, entities: list[Entity]) -> list[Entity]:
        """Return the entities of a text: its terms, and the model's entities that do not overlap a term.

        Args:
            text: the text as sent.
            entities: the model's entities, in order and without overlaps.
        """
        matches = self.find(text)
        if not matches:
            return entities
        ends = [match.end for match in matches]

        def is_free(entity: Entity) -> bool:
            following = bisect_right(ends, entity.start)  # the first term that ends after the entity's start
            return following == len(matches) or matches[following].start >= entity.end

        terms = [
            Entity(text=text[match.start : match.end], type=match.type, start=match.start, end=match.end, score=_SCORE)
            for match in matches
            if match.type != NOT_ENTITY
        ]
        return sorted([*filter(is_free, entities), *terms], key=lambda entity: entity.start)


def _is_inside_word(text: str, position: int) -> bool:
    """Return whether the characters on both sides of `position` belong to one word, as in Latin scripts."""
    return 0 < position < len(text) and _is_word_character(text[position - 1]) and _is_word_character(text[position])


def _is_word_character(character: str) -> bool:
    if character >= _EAST_ASIAN and not "\uff10" <= character <= "\uff5a":
        return False
    return character.isalnum() or character == "_" or combining(character) != 0
