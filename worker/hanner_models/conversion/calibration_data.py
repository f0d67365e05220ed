"""Texts for calibration and verification: the built-in sentences, and batches of tokens from any texts.

All of `sentences.txt` was written for this project: in the style of news, chats, résumés, reports, medical notes and
shops, the demo's article, and the training templates filled with well-known names.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from hanner_inference.engine.base import Batch
from hanner_inference.tokenization import SPECIAL_TOKENS
from hanner_inference.tokenization.windows import Window
from hanner_models.source import Source

BUILT_IN = "built-in sentences"
_VERIFICATION_STRIDE = 3
"""Every third built-in sentence is for verification, the others are for calibration."""


@dataclass(frozen=True, slots=True)
class TokenisedBatch:
    """A batch, and for each row the labelled ones of its units: tokens without special ones, or characters."""

    batch: Batch
    labelled: list[NDArray[np.int64]]


def built_in_sentences() -> list[str]:
    """Return all sentences that are included in hanner."""
    text = (files("hanner_models.conversion") / "sentences.txt").read_text("utf-8")
    return [line for line in text.split("\n") if line]


def calibration_texts() -> list[str]:
    """Return the built-in sentences for calibration."""
    return [text for number, text in enumerate(built_in_sentences()) if number % _VERIFICATION_STRIDE]


def verification_texts() -> list[str]:
    """Return the built-in sentences for verification; none of them is used for calibration."""
    return built_in_sentences()[::_VERIFICATION_STRIDE]


def make_batches(source: Source, texts: Sequence[str], rows: int = 16) -> Iterator[TokenisedBatch]:
    """Yield texts as padded batches, truncated to the model's length, sorted by length."""
    tokenizer = source.make_tokenizer()
    longest = source.options.max_length - SPECIAL_TOKENS
    encoded = sorted(((tokenizer.encode(text), text) for text in texts), key=lambda item: len(item[0]))
    for begin in range(0, len(encoded), rows):
        part = encoded[begin : begin + rows]
        windows = [Window(0, min(len(tokens), longest), 0, min(len(tokens), longest)) for tokens, _ in part]
        batch = Batch.from_rows(
            [tokenizer.row(text, tokens, window) for (tokens, text), window in zip(part, windows, strict=True)]
        )
        yield TokenisedBatch(
            batch, [tokens.labelled_in(window) for (tokens, _), window in zip(part, windows, strict=True)]
        )
