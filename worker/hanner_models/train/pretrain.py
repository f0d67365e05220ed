"""Masked-language pretraining: the batches and the step. Spans of one to three tokens are masked, as in SpanBERT."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from hanner_inference.tokenization import SPECIAL_TOKENS
from hanner_models.train import word_tags as words
from hanner_models.train.config import PretrainConfig
from hanner_models.train.vocabulary import special_ids
from hanner_models.train.word_tags import IGNORED

_SPAN_LENGTHS = np.array([1, 1, 2, 2, 2, 3])


@dataclass(frozen=True, slots=True)
class Stream:
    """One source of running text, tokenised: paragraphs end with [SEP].

    Attributes:
        ids: of the tokens.
        words: the tags of the words they belong to, see words.py; IGNORED at [SEP], or everywhere.
        weight: its share of an epoch.
    """

    ids: NDArray[np.int32]
    words: NDArray[np.int8]
    weight: float


def tokenise(tokenizer: Tokenizer, texts: Iterable[str], weight: float, *, with_words: bool = False) -> Stream:
    """Tokenise normalised paragraphs into one long row, and tag their words if asked to."""
    separator = special_ids(tokenizer)["[SEP]"]
    parts: list[NDArray[np.int32]] = []
    tags: list[NDArray[np.int8]] = []
    block: list[str] = []

    def flush() -> None:
        encodings = tokenizer.encode_batch(block, add_special_tokens=False)
        for text, encoding in zip(block, encodings, strict=True):
            parts.append(np.array([*encoding.ids, separator], dtype=np.int32))
            tags.append(np.full(len(encoding.ids) + 1, IGNORED, dtype=np.int8))
            if with_words:
                tags[-1][:-1] = words.tag(text, encoding.offsets)
        block.clear()

    for text in texts:
        block.append(text)
        if len(block) == 2048:
            flush()
    flush()
    return Stream(np.concatenate(parts), np.concatenate(tags), weight)


def batch(
    streams: list[Stream], config: PretrainConfig, tokenizer: Tokenizer, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draw one batch: masked ids, targets and tags of words, all [rows, length]."""
    ids = special_ids(tokenizer)
    rows = config.batch_tokens // config.length
    sizes = np.array([len(stream.ids) * stream.weight for stream in streams])
    input_ids = np.empty((rows, config.length), dtype=np.int64)
    tags = np.full_like(input_ids, IGNORED)
    for row, source in enumerate(rng.choice(len(streams), size=rows, p=sizes / sizes.sum())):
        stream = streams[source]
        start = int(rng.integers(0, max(1, len(stream.ids) - config.length + SPECIAL_TOKENS)))
        piece = stream.ids[start : start + config.length - SPECIAL_TOKENS]
        input_ids[row, 0] = ids["[CLS]"]
        input_ids[row, 1:] = ids["[SEP]"]
        input_ids[row, 1 : 1 + len(piece)] = piece
        tags[row, 1 : 1 + len(piece)] = stream.words[start : start + config.length - SPECIAL_TOKENS]
    return *mask(input_ids, config.mask_share, tokenizer, rng), tags


def mask(
    input_ids: NDArray[np.int64], share: float, tokenizer: Tokenizer, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Mask about `share` of the tokens in short spans; of those 80 % become [MASK], 10 % another token (BERT)."""
    ids = special_ids(tokenizer)
    starts = rng.random(input_ids.shape) < share / float(_SPAN_LENGTHS.mean())
    reach = rng.choice(_SPAN_LENGTHS, size=input_ids.shape)
    chosen = starts.copy()
    for shift in (1, 2):
        chosen[:, shift:] |= starts[:, :-shift] & (reach[:, :-shift] > shift)
    chosen &= ~np.isin(input_ids, [ids["[PAD]"], ids["[CLS]"], ids["[SEP]"]])
    targets = np.where(chosen, input_ids, IGNORED)
    fate = rng.random(input_ids.shape)
    masked = np.where(chosen & (fate < 0.8), ids["[MASK]"], input_ids)
    other = rng.integers(len(ids), tokenizer.get_vocab_size(), size=input_ids.shape)
    return np.where(chosen & (fate >= 0.8) & (fate < 0.9), other, masked), targets
