"""Cut a long text into overlapping windows that the model can take, and say which window answers for which token. Pure.

Every token is owned by one window. An entity belongs to the window that owns its first token and may run past the owned
end into the overlap, so no entity of up to `overlap` tokens is cut or found twice.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SENTENCE_END = re.compile(r"(?:[。！？!?；;…\n\r\u2028\u2029]|\.(?=\s))[。！？!?；;…\s”’」』）)】》〉\"']*")
"""What ends a sentence, with the closing quotes and blanks after it. A full stop only before a blank: 3.14, U.S."""


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens [start, end) of a text; the window answers for entities that begin in [own_start, own_end)."""

    start: int
    end: int
    own_start: int
    own_end: int

    def __len__(self) -> int:
        return self.end - self.start


def sentence_ends(text: str, starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell for each token, given where it starts in `text` (never falling), whether a sentence ends with it: bool [n].

    The text is read and not the tokens, because tokenizers drop line breaks.
    """
    closes = np.zeros(len(starts), dtype=np.bool_)
    breaks = [match.end() for match in _SENTENCE_END.finditer(text)]
    following = np.searchsorted(starts, np.array(breaks, dtype=np.int64))
    closes[following[following > 0] - 1] = True
    return closes


def cut(closes: NDArray[np.bool_], *, size: int, overlap: int) -> list[Window]:
    """Cut a text into windows.

    Args:
        closes: bool [n], whether a sentence ends with the token; from `sentence_ends`.
        size: most tokens in one window.
        overlap: tokens that a window reads on either side of those it owns, where the text has them.

    Returns:
        Windows in order. What they own is the whole text, nothing twice. They part at a sentence's end if the later
        half of what a window can own has one.

    Raises:
        ValueError: the overlap leaves a window nothing to own.
    """
    if overlap < 0 or size <= 2 * overlap:
        raise ValueError(f"windows of {size} tokens cannot overlap by {overlap} on either side")
    count = len(closes)
    windows: list[Window] = []
    own_start = 0
    while own_start < count:
        start = max(0, own_start - overlap)
        if start + size >= count:
            windows.append(Window(start, count, own_start, count))
            break
        latest = start + size - overlap
        middle = (own_start + latest) // 2
        ends = np.flatnonzero(closes[middle:latest])
        own_end = middle + int(ends[-1]) + 1 if len(ends) else latest
        windows.append(Window(start, own_end + overlap, own_start, own_end))
        own_start = own_end
    return windows
