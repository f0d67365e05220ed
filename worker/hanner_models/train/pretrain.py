"""Sample batches for masked-language pretraining. Spans of one to three tokens are masked, as in SpanBERT. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from hanner_inference.tokenization import SPECIAL_TOKENS
from hanner_models.train.config import PretrainConfig
from hanner_models.train.vocabulary import special_ids
from hanner_models.train.word_tags import IGNORED, tag_words

_SPAN_LENGTHS = np.array([1, 1, 2, 2, 2, 3])


@dataclass(frozen=True, slots=True)
class TokenStream:
    """Tokenised running text; each paragraph ends with [SEP].

    Attributes:
        ids: token ids.
        word_tags: of the tokens, see word_tags.py; IGNORED at [SEP], or everywhere if not wanted.
        weight: by which the stream is sampled, relative to its length.
    """

    ids: NDArray[np.int32]
    word_tags: NDArray[np.int8]
    weight: float


def tokenise(tokenizer: Tokenizer, texts: Iterable[str], weight: float, *, with_word_tags: bool = False) -> TokenStream:
    """Return normalised paragraphs as one stream of tokens."""
    separator = special_ids(tokenizer)["[SEP]"]
    parts: list[NDArray[np.int32]] = []
    tags: list[NDArray[np.int8]] = []
    block: list[str] = []

    def flush() -> None:
        encodings = tokenizer.encode_batch(block, add_special_tokens=False)
        for text, encoding in zip(block, encodings, strict=True):
            parts.append(np.array([*encoding.ids, separator], dtype=np.int32))
            tags.append(np.full(len(encoding.ids) + 1, IGNORED, dtype=np.int8))
            if with_word_tags:
                tags[-1][:-1] = tag_words(text, encoding.offsets)
        block.clear()

    for text in texts:
        block.append(text)
        if len(block) == 2048:
            flush()
    flush()
    return TokenStream(np.concatenate(parts), np.concatenate(tags), weight)


def sample_batch(
    streams: list[TokenStream], config: PretrainConfig, tokenizer: Tokenizer, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return a random batch: masked ids, targets and word tags, all [rows, length]."""
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
        tags[row, 1 : 1 + len(piece)] = stream.word_tags[start : start + config.length - SPECIAL_TOKENS]
    return *mask_tokens(input_ids, config.mask_share, tokenizer, rng), tags


def mask_tokens(
    input_ids: NDArray[np.int64], share: float, tokenizer: Tokenizer, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ids with about `share` of the tokens masked in short spans, and targets.

    As in BERT, 80 % of the masked tokens become [MASK], 10 % a random token, and 10 % stay the same.
    """
    ids = special_ids(tokenizer)
    starts = rng.random(input_ids.shape) < share / float(_SPAN_LENGTHS.mean())
    span_lengths = rng.choice(_SPAN_LENGTHS, size=input_ids.shape)
    chosen = starts.copy()
    for shift in (1, 2):
        chosen[:, shift:] |= starts[:, :-shift] & (span_lengths[:, :-shift] > shift)
    chosen &= ~np.isin(input_ids, [ids["[PAD]"], ids["[CLS]"], ids["[SEP]"]])
    targets = np.where(chosen, input_ids, IGNORED)
    choice = rng.random(input_ids.shape)
    masked = np.where(chosen & (choice < 0.8), ids["[MASK]"], input_ids)
    other = rng.integers(len(ids), tokenizer.get_vocab_size(), size=input_ids.shape)
    return np.where(chosen & (choice >= 0.8) & (choice < 0.9), other, masked), targets
