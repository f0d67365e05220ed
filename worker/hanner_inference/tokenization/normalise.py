"""Normalise a text to the form that the model was trained on, without moving a character. No I/O.

Every code point becomes exactly one code point, so offsets in the result are offsets in the text as sent.
"""

import re
import unicodedata
from functools import cache
from importlib.resources import files

_WIDE = re.compile("[\u3000０-９Ａ-Ｚａ-ｚ]+")
"""Full-width digits and letters and the ideographic space. Chinese punctuation is not changed."""
_NARROW = {0x3000: " "} | {
    ord(wide): chr(ord(wide) - 0xFEE0) for wide in map(chr, range(0xFF10, 0xFF5B)) if wide.isalnum()
}
_LAST_IN_PLANE = 0xFFFF
_LAST_CASED = 0x1E943
"""No code point above this one has a lower-case form (Unicode 14 to 16, checked by a test)."""


def normalise(
    text: str, *, half_width: bool, lowercase: bool, fold_traditional: bool = False, compatible: bool = False
) -> str:
    """Return `text` with half-width letters and digits if `half_width`, and in lower case if `lowercase`.

    If `fold_traditional`, each traditional character is replaced by its simplified form. If `compatible`, see
    `compatible_form`.

    The result has as many code points as `text`. A capital whose lower-case form has more than one code
    point (İ) is not changed.
    """
    if fold_traditional:
        text = text.translate(_simplified_forms())
    if compatible:
        text = compatible_form(text)
    if half_width:
        text = _WIDE.sub(lambda run: run[0].translate(_NARROW), text)
    if not lowercase:
        return text
    # str.lower never shrinks a character, so equal length means one for one. Its result for a sigma depends on the
    # neighbours; the table's does not.
    lowered = text.lower()
    return lowered if len(lowered) == len(text) and "Σ" not in text else text.translate(_lower_forms())


def compatible_form(text: str) -> str:
    """Return the text in Unicode's compatible form (NFKC), one code point for one; all white space becomes spaces.

    A character whose compatible form has several code points, or is white space, is not changed.
    """
    return text.translate(_COMPATIBLE)


class _CompatibleForms(dict[int, str]):
    """The compatible form of each code point, computed on first use. Those beyond the first plane are not kept."""

    def __missing__(self, point: int) -> str:
        character = chr(point)
        form = " " if character.isspace() else unicodedata.normalize("NFKC", character)
        if len(form) != 1 or (form.isspace() and not character.isspace()):
            form = character
        if point <= _LAST_IN_PLANE:
            self[point] = form
        return form


_COMPATIBLE = _CompatibleForms()


@cache
def _simplified_forms() -> dict[int, str]:
    """Return a map from each traditional character to its simplified form.

    The pairs are the single characters that OpenCC (Apache-2.0) converts from traditional to simplified. Left out are
    the pairs with characters outside the Basic Multilingual Plane, and characters that simplified text has in names:
    乾 (乾隆), 吒 (哪吒), 頫 (赵孟頫).
    """
    pairs = (files("hanner_inference.tokenization") / "traditional.txt").read_text("utf-8").split()
    return {ord(pair[0]): pair[1] for pair in pairs}


@cache
def _lower_forms() -> dict[int, str]:
    """Return a map from each capital to its lower-case form, if that is one code point."""
    pairs = ((point, chr(point).lower()) for point in range(_LAST_CASED + 1))
    return {point: lower for point, lower in pairs if len(lower) == 1 and lower != chr(point)}
