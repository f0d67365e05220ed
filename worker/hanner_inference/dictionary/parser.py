"""The text format of a dictionary: UTF-8, one `term TAB type` per line, `term TAB -` for a non-entity. No I/O.

Blank lines are ignored, and so are lines that start with # and have no TAB. Whitespace around term and type is removed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hanner.errors import HannerError
from hanner_inference.tokenization.normalise import normalise

NOT_ENTITY = "-"
"""The type of a term that is not an entity."""
MAX_TERM_CHARS = 256
"""A longer term is a mistake in the file, and would slow down every text."""
_TYPE = re.compile(r"\S{1,64}")
_MAX_TYPES = 0xFFFF


class DictionaryError(HannerError):
    """The dictionary cannot be used; set HANNER_DICTIONARY to a file with `term TAB type` on each line."""


@dataclass(frozen=True, slots=True)
class Folding:
    """The differences between characters that a model ignores, so that its dictionary ignores them too.

    Attributes:
        lowercase: upper and lower case are the same.
        half_width: full-width and half-width letters and digits are the same.
        traditional: traditional and simplified characters are the same.
    """

    lowercase: bool
    half_width: bool
    traditional: bool = False

    def __call__(self, text: str) -> str:
        """Return the folded text; it has as many code points as `text`."""
        return normalise(text, half_width=self.half_width, lowercase=self.lowercase, fold_traditional=self.traditional)


@dataclass(frozen=True, slots=True)
class Terms:
    """The content of a dictionary.

    Attributes:
        codes: index of the type of each folded term.
        types: the types; the first is NOT_ENTITY.
    """

    codes: dict[str, int]
    types: tuple[str, ...]


def parse(data: bytes, name: str, folding: Folding) -> Terms:
    """Return the terms of a dictionary.

    Args:
        data: content of the file.
        name: name of the file, for error messages.
        folding: how terms are folded.

    Raises:
        DictionaryError: if a line is not valid; the message contains its number.
    """
    codes: dict[str, int] = {}
    types = {NOT_ENTITY: 0}
    for number, term, kind in _entries(data, name, folding):
        code = types.setdefault(kind, len(types))
        previous = codes.setdefault(term, code)
        if previous != code:
            first = next(n for n, other, _ in _entries(data, name, folding) if other == term)
            other_type = list(types)[previous]
            raise _error(
                name,
                number,
                f"has type {kind}, but line {first} has the same term with type {other_type}; remove one of them",
            )
        if len(types) > _MAX_TYPES:
            raise _error(name, number, f"adds one type too many; at most {_MAX_TYPES - 1:,} are supported")
    return Terms(codes, tuple(types))


def _entries(data: bytes, name: str, folding: Folding) -> Iterator[tuple[int, str, str]]:
    """Yield line number, folded term and type of each entry."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _error(name, data.count(b"\n", 0, error.start) + 1, "is not UTF-8; save the file as UTF-8") from None
    for number, line in enumerate(text.split("\n"), 1):
        term, tab, kind = line.partition("\t")
        if not tab:
            if not line.strip() or line.startswith("#"):
                continue
            raise _error(name, number, "has no TAB; write `term TAB type`")
        term, kind = term.strip(), kind.strip()
        if not term:
            raise _error(name, number, "has no term before its TAB; write `term TAB type`")
        if len(term) > MAX_TERM_CHARS:
            raise _error(name, number, f"has a term of {len(term):,} characters; at most {MAX_TERM_CHARS} are allowed")
        if "\0" in term:  # marisa-trie treats NUL as the end of a term
            raise _error(name, number, "has a NUL character in its term; remove it")
        if not _TYPE.fullmatch(kind):
            raise _error(
                name,
                number,
                f"has no valid type after its TAB; write 1 to 64 characters without spaces, or {NOT_ENTITY}",
            )
        yield number, folding(term), kind


def _error(name: str, number: int, what: str) -> DictionaryError:
    return DictionaryError(f"line {number} of the dictionary {name} {what}")
