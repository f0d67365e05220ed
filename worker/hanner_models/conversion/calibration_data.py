"""Texts for calibration and verification: the sentences that come with hanner, and batches of tokens from any texts.

All of `sentences.txt` was written for this project: in the manner of news, chats, résumés, reports, medical notes and
shops, the demo's article, and the templates of training filled with well-known names.
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
_HELD_OUT = 3
"""Of so many built-in sentences one is for verification and the others for calibration."""


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """A batch, and where its labelled tokens stand: for each row, indices that count the special token before it."""

    batch: Batch
    labelled: list[NDArray[np.int64]]


def built_in_sentences() -> list[str]:
    """Return the sentences that come with hanner."""
    text = (files("hanner_models.conversion") / "sentences.txt").read_text("utf-8")
    return [line for line in text.split("\n") if line]


def for_calibration() -> list[str]:
    """Return the built-in sentences that ranges are taken from."""
    return [text for number, text in enumerate(built_in_sentences()) if number % _HELD_OUT]


def for_verification() -> list[str]:
    """Return the other built-in sentences."""
    return built_in_sentences()[::_HELD_OUT]


def batches(source: Source, texts: Sequence[str], rows: int = 16) -> Iterator[LabelledBatch]:
    """Tokenise texts, cut at the model's length, into padded batches; those of like length go together."""
    tokenizer = TextTokenizer(source.tokenizer, source.options)
    longest = source.options.max_length - SPECIAL_TOKENS
    encoded = sorted((tokenizer.encode(text) for text in texts), key=len)
    for begin in range(0, len(encoded), rows):
        part = encoded[begin : begin + rows]
        lengths = np.array([min(len(tokens), longest) + SPECIAL_TOKENS for tokens in part], dtype=np.int64)
        input_ids = np.zeros((len(part), int(lengths.max())), dtype=np.int64)
        for row, tokens in enumerate(part):
            input_ids[row, : lengths[row]] = [tokenizer.cls_id, *tokens.ids[:longest], tokenizer.sep_id]
        labelled = [tokens.labelled[tokens.labelled < longest] + 1 for tokens in part]
        yield LabelledBatch(Batch(input_ids, lengths), labelled)
