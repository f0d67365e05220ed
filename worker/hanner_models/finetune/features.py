"""Build batches of ids and tags from labelled sentences, tokenised exactly as at inference. No torch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hanner_inference.engine.base import Batch
from hanner_inference.tokenization import SPECIAL_TOKENS
from hanner_inference.tokenization.tokens import Tokens
from hanner_inference.tokenization.windows import Window, find_sentence_ends
from hanner_models.data.datasets import Sentence, Span, cut_sentence
from hanner_models.finetune.labels import tagging_scheme
from hanner_models.source import Source
from hanner_models.train.examples import TrainingBatch
from hanner_models.train.teacher.text import PieceBatch
from hanner_models.train.word_tags import IGNORED

UNLABELLED = -1
"""The tag of tokens that the CRF does not see: padding, and other than first word pieces if only those are labelled."""


class FeatureBuilder(ABC):
    """Builds batches for a tagger. Its units are tokens, or characters if those have the labels.

    Attributes:
        max_tokens: maximum number of units per row, without special tokens.
    """

    def __init__(self, source: Source) -> None:
        self.max_tokens = source.options.max_length - SPECIAL_TOKENS
        self._tokenizer = source.make_tokenizer()
        self._tags = {label: number for number, label in enumerate(source.labels)}
        self._scheme = tagging_scheme(source.labels)

    @abstractmethod
    def build(self, sentences: Sequence[Sentence]) -> TrainingBatch | PieceBatch:
        """Return the batch of sentences that each have a labelled unit; they are truncated to the model's length."""

    def prepare(self, sentences: Sequence[Sentence]) -> list[Sentence]:
        """Return sentences that fit into rows: without nested entities, split if too long, none without tokens."""
        return [
            part
            for sentence in sentences
            for part in self._split(drop_nested(sentence))
            if len(self._tokenizer.encode(part.text).labelled)
        ]

    def _encode(self, sentences: Sequence[Sentence]) -> tuple[list[Tokens], Batch]:
        """Return the units of each sentence, all of them, and the batch of their beginnings that fit into a row."""
        encoded = [self._tokenizer.encode(sentence.text) for sentence in sentences]
        rows = []
        for sentence, tokens in zip(sentences, encoded, strict=True):
            count = min(len(tokens), self.max_tokens)
            rows.append(self._tokenizer.row(sentence.text, tokens, Window(0, count, 0, count)))
        return encoded, Batch.from_rows(rows)

    def _tag(self, sentence: Sentence, tokens: Tokens) -> NDArray[np.int64]:
        tags = np.full(len(tokens), self._tags["O"], dtype=np.int64)
        starts = tokens.starts[tokens.labelled]
        for span in sentence.spans:
            inside = tokens.labelled[(starts >= span.start) & (starts < span.end)]
            for token, prefix in zip(inside, label_prefixes(len(inside), self._scheme), strict=True):
                tags[token] = self._tags[f"{prefix}-{span.type}"]
        return tags

    def _split(self, sentence: Sentence) -> list[Sentence]:
        """Split a text that is too long for one row, at the end of a sentence if possible, and not inside an entity."""
        tokens = self._tokenizer.encode(sentence.text)
        if len(tokens) <= self.max_tokens:
            return [sentence]
        sentence_end = find_sentence_ends(sentence.text, tokens.starts)
        cuts, start = [0], 0
        while len(tokens) - start > self.max_tokens:
            middle, latest = start + self.max_tokens // 2, start + self.max_tokens
            ends = np.flatnonzero(sentence_end[middle:latest])
            end = middle + int(ends[-1]) + 1 if len(ends) else latest
            position = int(tokens.starts[end])
            position = min((s.start for s in sentence.spans if s.start < position < s.end), default=position)
            end = int(np.searchsorted(tokens.starts, position))
            start = end if end > start else latest  # an entity that is longer than a row is split
            cuts.append(int(tokens.starts[start]))
        return [cut_sentence(sentence, *ends) for ends in pairwise([*cuts, len(sentence.text)])]


class TokenFeatures(FeatureBuilder):
    """Builds batches for a tagger of tokens."""

    def build(self, sentences: Sequence[Sentence]) -> TrainingBatch:
        """Return the batch of sentences that each have a labelled token; they are truncated to the model's length.

        Padding has id 0 and the tag UNLABELLED.
        """
        encoded, batch = self._encode(sentences)
        counts = batch.lengths - SPECIAL_TOKENS
        tags = np.full((len(sentences), int(counts.max())), UNLABELLED, dtype=np.int64)
        for row, (sentence, tokens, count) in enumerate(zip(sentences, encoded, counts, strict=True)):
            labelled = tokens.labelled[tokens.labelled < count]
            tags[row, labelled] = self._tag(sentence, tokens)[labelled]
        mask = np.arange(batch.input_ids.shape[1]) < batch.lengths[:, None]
        return TrainingBatch(batch.input_ids, mask.astype(np.int64), tags, np.full_like(tags, IGNORED))


class PieceFeatures(FeatureBuilder):
    """Builds batches for a tagger of the characters of word pieces."""

    def build(self, sentences: Sequence[Sentence]) -> PieceBatch:
        """Return the batch of sentences that are not blank; they are truncated to the model's length."""
        encoded, batch = self._encode(sentences)
        characters = batch.characters
        assert characters is not None
        tags = np.zeros_like(characters.ids)
        for row, (sentence, tokens, count) in enumerate(zip(sentences, encoded, characters.lengths, strict=True)):
            tags[row, :count] = self._tag(sentence, tokens)[:count]
        return PieceBatch(
            batch.input_ids, characters.ids, characters.owners, characters.places, characters.lengths, tags
        )


def make_features(source: Source) -> FeatureBuilder:
    """Return the builder of batches for a tagger."""
    return PieceFeatures(source) if source.shape.characters else TokenFeatures(source)


def label_prefixes(count: int, scheme: str) -> str:
    """Return the label prefixes of an entity of `count` tokens, such as BMME, S, BIIE or BII."""
    inside, last = ("M" if "M" in scheme else "I"), ("E" if "E" in scheme else "I")
    if count == 1:
        return "S" if "S" in scheme else "B"
    return f"B{inside * (count - 2)}{last}" if count else ""


def drop_nested(sentence: Sentence) -> Sentence:
    """Return the sentence without entities that overlap a longer one, because a token has only one label."""
    kept: list[Span] = []
    for span in sorted(sentence.spans, key=lambda s: (s.start - s.end, s.start)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return Sentence(sentence.text, tuple(sorted(kept, key=lambda s: s.start)))
