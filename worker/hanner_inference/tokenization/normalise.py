"""Bring a text to the form the model was trained on without moving a character. Pure.

Every code point becomes exactly one code point, so that offsets in the result are offsets in the text as sent.
"""

import re
from functools import cache

_WIDE = re.compile("[\u3000０-９Ａ-Ｚａ-ｚ]+")
"""Full-width digits and letters and the ideographic space; Chinese punctuation stays as it is."""
_NARROW = {0x3000: " "} | {
    ord(wide): chr(ord(wide) - 0xFEE0) for wide in map(chr, range(0xFF10, 0xFF5B)) if wide.isalnum()
}
_LAST_CASED = 0x1E943
"""No code point above this one has a lower form (Unicode 14 to 16; a test looks)."""


def normalise(text: str, *, half_width: bool, lowercase: bool) -> str:
    """Return `text` with full-width letters and digits narrowed and capitals lowered, each only if asked for.

    The result has as many code points as `text`. A capital whose lower form is longer than one (İ) is left alone.
    """
    if half_width:
        text = _WIDE.sub(lambda run: run[0].translate(_NARROW), text)
    if not lowercase:
        return text
    # str.lower never shrinks a character, so an equal length means one for one. A sigma's lower form depends on its
    # neighbours there; the table's does not.
    lowered = text.lower()
    return lowered if len(lowered) == len(text) and "Σ" not in text else text.translate(_lower_forms())


@cache
def _lower_forms() -> dict[int, str]:
    """Map each capital to its lower form where that is one code point."""
    pairs = ((point, chr(point).lower()) for point in range(_LAST_CASED + 1))
    return {point: lower for point, lower in pairs if len(lower) == 1 and lower != chr(point)}
