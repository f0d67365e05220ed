"""The encoding of Chinese text, from its byte order mark or its content. Pure.

charset-normalizer was measured on single Chinese sentences and took a tenth of those in GB18030 for Korean or UTF-16;
counting common characters, as here, was right for all of them.
"""

import codecs
import string
from functools import cache
from typing import NamedTuple

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
CANDIDATES = ("gb18030", "big5", "utf-16-le", "utf-16-be")
"""Encodings that are tried if the bytes are not UTF-8; of equal ones the first is chosen."""
MIN_SHARE = 0.6
"""Share of common characters that a text must have to be accepted as one of the candidates."""
MIN_VALID_LINES = 0.5
"""Share of lines that must be UTF-8: a damaged line does not change the encoding of its file."""


class Encoding(NamedTuple):
    """A detected encoding.

    Attributes:
        name: Its name as a Python codec.
        bom: Number of bytes of the byte order mark.
    """

    name: str
    bom: int = 0


def find_bom(data: bytes) -> Encoding | None:
    """Return the encoding that a byte order mark at the start of the data names; None without one."""
    return next((Encoding(name, len(mark)) for mark, name in BOMS if data.startswith(mark)), None)


def detect(data: bytes) -> Encoding | None:
    """Return the encoding of the start of a file; None if it cannot be recognised.

    Args:
        data: The first bytes; the last character may be incomplete.
    """
    if found := find_bom(data):
        return found
    if b"\0" not in data and _is_utf8(data):
        return Encoding("utf-8")
    scores = {name: _common_share(data, name) for name in CANDIDATES}
    best = max(CANDIDATES, key=lambda name: scores[name])
    return Encoding(best) if scores[best] >= MIN_SHARE else None


def is_line_based(encoding: str) -> bool:
    """Return whether a line feed is one byte that is part of no other character, as in UTF-8, GB18030 and Big5."""
    return "\n".encode(encoding) == b"\n" and codecs.lookup(encoding).name not in {"utf-7", "hz"}


def display_name(encoding: str) -> str:
    """Return a codec's name for people: UTF-8, GB18030, Big5."""
    return "Big5" if encoding == "big5" else encoding.upper()


def _is_utf8(data: bytes) -> bool:
    lines = [line for line in _complete_lines(data) if not line.isascii()]
    valid = sum(_decodes(line) for line in lines)
    if not lines or valid < MIN_VALID_LINES * len(lines):
        return not lines
    # A few words of GBK happen to be UTF-8, such as 联通; then all characters are Greek, Cyrillic or combining marks.
    text = b"".join(lines).decode("utf-8", "ignore")
    if all(character.isascii() or 0x250 <= ord(character) < 0x800 for character in text):
        return _common_share(data, "gb18030") < 0.9
    return True


def _complete_lines(data: bytes) -> list[bytes]:
    """Return the lines; the end of the last one is cut off if its last character is incomplete."""
    lines = data.split(b"\n")
    try:
        lines[-1].decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            lines[-1] = lines[-1][: error.start]
    return lines


def _decodes(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _common_share(data: bytes, encoding: str) -> float:
    """Return the share of common Chinese characters in the non-ASCII part of the decoded text."""
    text = data.decode(encoding, "replace")
    if encoding.startswith("utf-16"):
        if "\0" in text:
            return 0.0
        relevant = text
    else:
        relevant = "".join(character for character in text if not character.isascii())
    if not relevant:
        return 0.0
    return sum(character in _common_characters() for character in relevant) / len(relevant)


@cache
def _common_characters() -> frozenset[str]:
    """Return printable ASCII, the common characters of GB2312 and Big5 (level 1 of both), and their punctuation."""
    gb = bytes(byte for row in (0xA1, 0xA3, *range(0xB0, 0xD8)) for cell in range(0xA1, 0xFF) for byte in (row, cell))
    big5 = bytes(
        byte for row in range(0xA4, 0xC7) for cell in (*range(0x40, 0x7F), *range(0xA1, 0xFF)) for byte in (row, cell)
    )
    return frozenset(gb.decode("gb2312", "ignore") + big5.decode("big5", "ignore") + string.printable)
