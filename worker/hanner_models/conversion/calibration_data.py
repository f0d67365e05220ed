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
from hanner_inference.tokenization.tokens import TextTokenizer
from hanner_models.source import Source

BUILT_IN = "built-in sentences"
_VERIFICATION_STRIDE = 3
"""Every third built-in sentence is for verification, the others are for calibration."""


@dataclass(frozen=True, slots=True)
class TokenisedBatch:
    """A batch, and for each row the positions of its labelled tokens, counted from [CLS]."""

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
    """Yield texts as padded batches of tokens, truncated to the model's length, sorted by length."""
    tokenizer = TextTokenizer(source.tokenizer, source.options)
    max_tokens = source.options.max_length - SPECIAL_TOKENS
    encoded = sorted((tokenizer.encode(text) for text in texts), key=len)
    for begin in range(0, len(encoded), rows):
        part = encoded[begin : begin + rows]
        lengths = np.array([min(len(tokens), max_tokens) + SPECIAL_TOKENS for tokens in part], dtype=np.int64)
        input_ids = np.zeros((len(part), int(lengths.max())), dtype=np.int64)
        for row, tokens in enumerate(part):
            input_ids[row, : lengths[row]] = [tokenizer.cls_id, *tokens.ids[:max_tokens], tokenizer.sep_id]
        labelled = [tokens.labelled[tokens.labelled < max_tokens] + 1 for tokens in part]
        yield TokenisedBatch(Batch(input_ids, lengths), labelled)
