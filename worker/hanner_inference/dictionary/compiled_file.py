"""The file format of compiled dictionaries. No I/O.

The file contains MAGIC, one line of JSON (`Header`), the type index of each term (uint16, in the order of the trie's
ids), and a trie in marisa-trie's format. Both parts start at a multiple of eight bytes.

The process that compiles a dictionary imports this module, so it must not import a slow library such as pydantic.
"""

import json
import mmap
from array import array
from dataclasses import asdict, dataclass

from marisa_trie import Trie

from hanner_inference.dictionary.parser import Folding, Terms

MAGIC = b"hanner dictionary 1\n"
_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Header:
    """The header of the file.

    Attributes:
        digest: sha256 of source and folding, in hexadecimal.
        terms: number of terms.
        longest: code points of the longest term.
        types: see `Terms`.
        starts: all first characters of terms.
        lowercase: see `Folding`.
        half_width: see `Folding`.
        traditional: see `Folding`.
    """

    digest: str
    terms: int
    longest: int
    types: tuple[str, ...]
    starts: str
    lowercase: bool
    half_width: bool
    traditional: bool


def compile_terms(terms: Terms, digest: str, folding: Folding) -> bytes:
    """Return the content of a compiled dictionary."""
    trie = Trie(terms.codes)
    codes = array("H", bytes(2 * len(terms.codes)))
    for term, code in terms.codes.items():
        codes[trie[term]] = code
    starts = "".join(sorted({term[0] for term in terms.codes}))
    longest = max(map(len, terms.codes), default=0)
    header = Header(digest, len(terms.codes), longest, terms.types, starts, **asdict(folding))
    parts = [MAGIC + json.dumps(asdict(header)).encode() + b"\n", codes.tobytes(), trie.tobytes()]
    return b"".join(part + bytes(-len(part) % _ALIGNMENT) for part in parts)


def read_header(data: mmap.mmap) -> tuple[Header, int]:
    """Return the header of a compiled dictionary, and the offset of its end in bytes."""
    end = data.find(b"\n", len(MAGIC)) + 1
    return Header(**json.loads(data[len(MAGIC) : end])), end


def aligned(size: int) -> int:
    """Return the first offset at or after `size` where a part may start."""
    return size + -size % _ALIGNMENT
