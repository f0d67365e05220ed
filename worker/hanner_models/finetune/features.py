"""Labelled sentences to batches of ids and tags, prepared exactly as the package prepares texts. No torch."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hanner_inference.tokenization import SPECIAL_TOKENS
from hanner_inference.tokenization.tokens import TextTokenizer, Tokens
from hanner_inference.tokenization.windows import find_sentence_ends
from hanner_models.data.datasets import Sentence, Span
from hanner_models.finetune.labels import scheme_of
from hanner_models.source import Source
from hanner_models.train.examples import Rows
from hanner_models.train.word_tags import IGNORED

UNLABELLED = -1
"""Tag of a token that takes no part in the CRF: padding, and, where only first pieces are labelled, the others."""


class RowMaker:
    """Makes rows for a tagger.

    Attributes:
        size: most tokens of a row, without special ones.
    """

    def __init__(self, source: Source) -> None:
        self.size = source.options.max_length - SPECIAL_TOKENS
        self._tokenizer = TextTokenizer(source.tokenizer, source.options)
        self._tags = {label: number for number, label in enumerate(source.labels)}
        self._scheme = scheme_of(source.labels)

    def rows(self, sentences: Sequence[Sentence]) -> Rows:
        """Return ids, mask and tags; sentences are cut at the model's length, and must have a labelled token.

        Padding has id 0 and the tag UNLABELLED.
        """
        encoded = [self._tokenizer.encode(sentence.text) for sentence in sentences]
        counts = [min(len(tokens), self.size) for tokens in encoded]
        length = max(counts) + SPECIAL_TOKENS
        input_ids = np.zeros((len(sentences), length), dtype=np.int64)
        mask = np.zeros_like(input_ids)
        tags = np.full((len(sentences), length - SPECIAL_TOKENS), UNLABELLED, dtype=np.int64)
        for row, (sentence, tokens, count) in enumerate(zip(sentences, encoded, counts, strict=True)):
            input_ids[row, 0], input_ids[row, count + 1] = self._tokenizer.cls_id, self._tokenizer.sep_id
            input_ids[row, 1 : count + 1] = tokens.ids[:count]
            mask[row, : count + SPECIAL_TOKENS] = 1
            labelled = tokens.labelled[tokens.labelled < count]
            tags[row, labelled] = self._tag(sentence, tokens)[labelled]
        return Rows(input_ids, mask, tags, np.full_like(tags, IGNORED))

    def usable(self, sentences: Sequence[Sentence]) -> list[Sentence]:
        """Return sentences that rows can be made of: flat, no longer than the model takes, none without tokens."""
        return [
            part
            for sentence in sentences
            for part in self._split(flat(sentence))
            if len(self._tokenizer.encode(part.text).labelled)
        ]

    def _tag(self, sentence: Sentence, tokens: Tokens) -> NDArray[np.int64]:
        tags = np.full(len(tokens), self._tags["O"], dtype=np.int64)
        starts = tokens.starts[tokens.labelled]
        for span in sentence.spans:
            inside = tokens.labelled[(starts >= span.start) & (starts < span.end)]
            for place, prefix in zip(inside, prefixes(len(inside), self._scheme), strict=True):
                tags[place] = self._tags[f"{prefix}-{span.type}"]
        return tags

    def _split(self, sentence: Sentence) -> list[Sentence]:
        """Cut what is too long for one row, at the end of a sentence where there is one, and never inside a name."""
        tokens = self._tokenizer.encode(sentence.text)
        if len(tokens) <= self.size:
            return [sentence]
        closes = find_sentence_ends(sentence.text, tokens.starts)
        cuts, start = [0], 0
        while len(tokens) - start > self.size:
            middle, latest = start + self.size // 2, start + self.size
            ends = np.flatnonzero(closes[middle:latest])
            end = middle + int(ends[-1]) + 1 if len(ends) else latest
            place = int(tokens.starts[end])
            place = min((s.start for s in sentence.spans if s.start < place < s.end), default=place)
            end = int(np.searchsorted(tokens.starts, place))
            start = end if end > start else latest  # a name longer than the model takes is cut
            cuts.append(int(tokens.starts[start]))
        return [_piece(sentence, *ends) for ends in pairwise([*cuts, len(sentence.text)])]


def prefixes(count: int, scheme: str) -> str:
    """Return the prefixes of a name of `count` tokens: BMME, S; BIIE; BII."""
    inside, last = ("M" if "M" in scheme else "I"), ("E" if "E" in scheme else "I")
    if count == 1:
        return "S" if "S" in scheme else "B"
    return f"B{inside * (count - 2)}{last}" if count else ""


def flat(sentence: Sentence) -> Sentence:
    """Leave out names that overlap a longer one: a tagger gives every token one label."""
    kept: list[Span] = []
    for span in sorted(sentence.spans, key=lambda s: (s.start - s.end, s.start)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return Sentence(sentence.text, tuple(sorted(kept, key=lambda s: s.start)))


def _piece(sentence: Sentence, start: int, end: int) -> Sentence:
    spans = [Span(s.type, s.start - start, min(s.end, end) - start) for s in sentence.spans if start <= s.start < end]
    return Sentence(sentence.text[start:end], tuple(spans))
