"""A compiled dictionary: one file that all processes map, so that they share its memory; found in texts and applied.

The file: MAGIC, a line of JSON (`_Header`), the number of each term's type (uint16, in the order of the trie's ids),
and a trie as marisa-trie writes it. Both parts begin at multiples of eight bytes.
"""

import json
import mmap
import re
from array import array
from bisect import bisect_right
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self
from unicodedata import combining

from marisa_trie import Trie

from hanner.contract import Entity
from hanner_inference.dictionary.parser import NOTHING, Fold, Terms

MAGIC = b"hanner dictionary 1\n"
_ALIGNED = 8
_SCORE = 1.0
_EAST_ASIAN = "\u2e80"
"""From here on scripts put no blanks between words, but for the full-width forms of Latin letters and digits."""


@dataclass(frozen=True, slots=True)
class _Header:
    """What the file says of itself.

    Attributes:
        digest: sha256 of the source and of how it was folded, in hexadecimal.
        terms: how many.
        longest: code points of the longest term.
        types: see `Terms`.
        starts: all characters that a term begins with.
        lowercase: see `Fold`.
        half_width: see `Fold`.
    """

    digest: str
    terms: int
    longest: int
    types: tuple[str, ...]
    starts: str
    lowercase: bool
    half_width: bool


@dataclass(frozen=True, slots=True)
class Match:
    """Code points [start, end) are a term; `type` is NOTHING where they are no entity."""

    start: int
    end: int
    type: str


def compiled(terms: Terms, digest: str, fold: Fold) -> bytes:
    """Return the file of a dictionary."""
    trie = Trie(terms.codes)
    codes = array("H", bytes(2 * len(terms.codes)))
    for term, code in terms.codes.items():
        codes[trie[term]] = code
    starts = "".join(sorted({term[0] for term in terms.codes}))
    longest = max(map(len, terms.codes), default=0)
    header = _Header(digest, len(terms.codes), longest, terms.types, starts, fold.lowercase, fold.half_width)
    parts = [MAGIC + json.dumps(asdict(header)).encode() + b"\n", codes.tobytes(), trie.tobytes()]
    return b"".join(part + bytes(-len(part) % _ALIGNED) for part in parts)


class Matcher:
    """Finds the terms of a compiled dictionary.

    Attributes:
        digest: names what it says and how it was folded.
        terms: how many it has.
        types: how many types they have, without NOTHING.
    """

    def __init__(self, data: mmap.mmap) -> None:
        """Read a compiled dictionary."""
        end = data.find(b"\n", len(MAGIC)) + 1
        header = _Header(**json.loads(data[len(MAGIC) : end]))
        self.digest, self.terms, self.types = header.digest, header.terms, len(header.types) - 1
        self._types = header.types
        self._longest = header.longest
        self._fold = Fold(header.lowercase, header.half_width)
        view = memoryview(data)
        begin, size = _aligned(end), 2 * header.terms
        self._codes = view[begin : begin + size].cast("H")
        self._trie = Trie().map(view[begin + _aligned(size) :])
        self._start = re.compile(f"[{re.escape(header.starts)}]" if header.starts else "(?!)")

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map the file in `path`; it may be removed after that.

        Raises:
            OSError: it cannot be opened.
        """
        with path.open("rb") as stream:
            return cls(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))

    def find(self, text: str) -> list[Match]:
        """Return the terms in a text, from left to right, at each place the longest, never overlapping.

        A term that begins or ends with a letter or digit is not found inside a longer word of such.
        """
        folded = self._fold(text)
        found: list[Match] = []
        place = 0
        while (start := self._start.search(folded, place)) is not None:
            place = start.start()
            longest = None if _is_inside_word(folded, place) else self._longest_at(folded, place)
            if longest is None:
                place += 1
            else:
                found.append(longest)
                place = longest.end
        return found

    def _longest_at(self, folded: str, place: int) -> Match | None:
        longest = None
        for term, number in self._trie.iter_prefixes_with_ids(folded[place : place + self._longest]):
            end = place + len(term)
            if not _is_inside_word(folded, end):
                longest = end, number
        return longest and Match(place, longest[0], self._types[self._codes[longest[1]]])

    def apply(self, text: str, entities: list[Entity]) -> list[Entity]:
        """Return a text's entities: the terms in it, and of what the model found that which overlaps none of them.

        Args:
            text: as sent.
            entities: what the model found, in order and never overlapping.
        """
        found = self.find(text)
        if not found:
            return entities
        ends = [match.end for match in found]

        def is_free(entity: Entity) -> bool:
            after = bisect_right(ends, entity.start)  # the first term that ends behind the entity's start
            return after == len(found) or found[after].start >= entity.end

        named = [
            Entity(text=text[match.start : match.end], type=match.type, start=match.start, end=match.end, score=_SCORE)
            for match in found
            if match.type != NOTHING
        ]
        return sorted([*filter(is_free, entities), *named], key=lambda entity: entity.start)


def _aligned(size: int) -> int:
    return size + -size % _ALIGNED


def _is_inside_word(text: str, place: int) -> bool:
    """Tell whether letters, digits or marks on both sides of `place` make one word, as in Latin scripts."""
    return 0 < place < len(text) and _is_of_word(text[place - 1]) and _is_of_word(text[place])


def _is_of_word(character: str) -> bool:
    if character >= _EAST_ASIAN and not "\uff10" <= character <= "\uff5a":
        return False
    return character.isalnum() or character == "_" or combining(character) != 0
