"""Reads a dictionary: UTF-8, one term a line, `term TAB type`, or `term TAB -` for what is no entity. Pure.

Blank lines count for nothing, nor do lines that begin with # and have no TAB. Blanks around term and type are dropped.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hanner.errors import HannerError
from hanner_inference.tokenization.normalise import normalise

NOTHING = "-"
"""The type of a term that is no entity."""
LONGEST_TERM = 256
"""Code points; what is longer is a mistake in the file, and would make every text slower."""
_TYPE = re.compile(r"\S{1,64}")
_MOST_TYPES = 0xFFFF


class DictionaryError(HannerError):
    """The dictionary cannot be used; set HANNER_DICTIONARY to a file with `term TAB type` on each line."""


@dataclass(frozen=True, slots=True)
class Fold:
    """What a model makes no difference between, so that a dictionary makes none either.

    Attributes:
        lowercase: capitals and small letters.
        half_width: full-width and half-width letters and digits.
    """

    lowercase: bool
    half_width: bool

    def __call__(self, text: str) -> str:
        """Return the text with as many code points, each in its plain form."""
        return normalise(text, half_width=self.half_width, lowercase=self.lowercase)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a dictionary says.

    Attributes:
        codes: for each folded term the index of its type.
        types: the types; the first is NOTHING.
    """

    codes: dict[str, int]
    types: tuple[str, ...]


def parse(data: bytes, name: str, fold: Fold) -> Terms:
    """Read a dictionary.

    Args:
        data: the file's bytes.
        name: of the file, for errors.
        fold: how terms are folded.

    Raises:
        DictionaryError: a line cannot be used; the sentence has its number.
    """
    codes: dict[str, int] = {}
    types = {NOTHING: 0}
    for number, term, kind in _entries(data, name, fold):
        code = types.setdefault(kind, len(types))
        before = codes.setdefault(term, code)
        if before != code:
            first = next(n for n, other, _ in _entries(data, name, fold) if other == term)
            was = list(types)[before]
            raise _fault(name, number, f"says {kind} of a term of which line {first} says {was}; remove one of them")
        if len(types) > _MOST_TYPES:
            raise _fault(name, number, f"brings a type too many; at most {_MOST_TYPES - 1:,} can be told apart")
    return Terms(codes, tuple(types))


def _entries(data: bytes, name: str, fold: Fold) -> Iterator[tuple[int, str, str]]:
    """Yield line number, folded term and type of each entry."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _fault(name, data.count(b"\n", 0, error.start) + 1, "is not UTF-8; save the file as UTF-8") from None
    for number, line in enumerate(text.split("\n"), 1):
        term, tab, kind = line.partition("\t")
        if not tab:
            if not line.strip() or line.startswith("#"):
                continue
            raise _fault(name, number, "has no TAB; write `term TAB type`")
        term, kind = term.strip(), kind.strip()
        if not term:
            raise _fault(name, number, "has no term before its TAB; write `term TAB type`")
        if len(term) > LONGEST_TERM:
            raise _fault(name, number, f"has a term of {len(term):,} characters; at most {LONGEST_TERM} are taken")
        if "\0" in term:  # the trie's library takes it for the end of a term
            raise _fault(name, number, "has a NUL character in its term; remove it")
        if not _TYPE.fullmatch(kind):
            raise _fault(
                name,
                number,
                f"has no type of 1 to 64 characters without blanks behind its TAB; write one, or {NOTHING}",
            )
        yield number, fold(term), kind


def _fault(name: str, number: int, what: str) -> DictionaryError:
    return DictionaryError(f"line {number} of the dictionary {name} {what}")
