"""Split a long text into overlapping windows of the model's maximum length. No I/O.

Every token is owned by exactly one window. An entity belongs to the window that owns its first token and may extend
into the overlap after it, so no entity of up to `overlap` tokens is cut or found twice.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SENTENCE_END = re.compile(r"(?:[。！？!?；;…\n\r\u2028\u2029]|\.(?=\s))[。！？!?；;…\s”’」』）)】》〉\"']*")
"""The end of a sentence with closing quotes and whitespace. A full stop counts only before whitespace: 3.14, U.S."""


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens [start, end) of a text; the window owns entities that start in [own_start, own_end)."""

    start: int
    end: int
    own_start: int
    own_end: int

    def __len__(self) -> int:
        return self.end - self.start


def find_sentence_ends(text: str, starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each token whether a sentence ends with it: bool [n].

    Reads the text rather than the tokens, because tokenizers drop line breaks.

    Args:
        text: the text.
        starts: int64 [n], where each token starts in `text`, in ascending order.
    """
    ends = np.zeros(len(starts), dtype=np.bool_)
    breaks = [match.end() for match in _SENTENCE_END.finditer(text)]
    following = np.searchsorted(starts, np.array(breaks, dtype=np.int64))
    ends[following[following > 0] - 1] = True
    return ends


def split_windows(sentence_ends: NDArray[np.bool_], *, size: int, overlap: int) -> list[Window]:
    """Return the windows of a text, in order.

    Together, the windows own every token exactly once. A window ends at a sentence end if the second half of the tokens
    that it could own contains one.

    Args:
        sentence_ends: bool [n], whether a sentence ends with the token, see `find_sentence_ends`.
        size: maximum number of tokens in a window.
        overlap: tokens that a window reads on each side of those it owns, if the text has them.

    Raises:
        ValueError: if `overlap` is too large, so that a window would own no token.
    """
    if overlap < 0 or size <= 2 * overlap:
        raise ValueError(f"windows of {size} tokens cannot overlap by {overlap} on each side")
    count = len(sentence_ends)
    windows: list[Window] = []
    own_start = 0
    while own_start < count:
        start = max(0, own_start - overlap)
        if start + size >= count:
            windows.append(Window(start, count, own_start, count))
            break
        latest = start + size - overlap
        middle = (own_start + latest) // 2
        ends = np.flatnonzero(sentence_ends[middle:latest])
        own_end = middle + int(ends[-1]) + 1 if len(ends) else latest
        windows.append(Window(start, own_end + overlap, own_start, own_end))
        own_start = own_end
    return windows
