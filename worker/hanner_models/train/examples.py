"""Labelled sentences to batches of token ids and tags. What a step sees follows from the seed and its number."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from hanner_inference.tokenization import SPECIAL_TOKENS
from hanner_inference.tokenization.normalise import normalise
from hanner_models.data.datasets import Sentence
from hanner_models.train import word_tags as words
from hanner_models.train.augment import Names, add_noise, fill, join, replace_names
from hanner_models.train.config import TagConfig
from hanner_models.train.vocabulary import special_ids

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG")


class Rows(NamedTuple):
    """One batch: int64 `input_ids` and `attention_mask` [rows, length], `tags` and `words` [rows, length - 2].

    `words` are the tags of the words the tokens belong to, see words.py; IGNORED where there is none.
    """

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    tags: NDArray[np.int64]
    words: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Sentences in their order, how often an epoch sees them, and which head learns from them."""

    sentences: Sequence[Sentence]
    weight: float
    auxiliary: bool


def encode(tokenizer: Tokenizer, sentences: Sequence[Sentence], *, most: int, with_words: bool = False) -> Rows:
    """Tokenise and tag; rows are cut at `most` tokens, special ones included. Words are tagged if asked to."""
    ids = special_ids(tokenizer)
    texts = [normalise(s.text, half_width=True, lowercase=True) for s in sentences]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    counts = [min(len(e.ids), most - SPECIAL_TOKENS) for e in encodings]
    length = max(counts, default=0) + SPECIAL_TOKENS
    input_ids = np.full((len(texts), length), ids["[PAD]"], dtype=np.int64)
    mask = np.zeros_like(input_ids)
    tags = np.zeros((len(texts), length - SPECIAL_TOKENS), dtype=np.int64)
    parts = np.full_like(tags, words.IGNORED)
    input_ids[:, 0] = ids["[CLS]"]
    for row, (sentence, encoding, count) in enumerate(zip(sentences, encodings, counts, strict=True)):
        input_ids[row, 1 : count + 1] = encoding.ids[:count]
        input_ids[row, count + 1] = ids["[SEP]"]
        mask[row, : count + SPECIAL_TOKENS] = 1
        _tag(tags[row], sentence, encoding.offsets[:count])
        if with_words:
            parts[row, :count] = words.tag(texts[row], encoding.offsets[:count])
    return Rows(input_ids, mask, tags, parts)


def _tag(tags: NDArray[np.int64], sentence: Sentence, offsets: Sequence[tuple[int, int]]) -> None:
    token = 0
    for span in sentence.spans:
        first = True
        while token < len(offsets) and offsets[token][0] < span.end:
            if offsets[token][0] >= span.start:
                tags[token] = LABELS.index(("B-" if first else "I-") + span.type)
                first = False
            token += 1


class Examples:
    """Draws the batches of tagging.

    Args:
        corpora: what to learn from.
        names: entity type to pools of names that may replace others of the type; the corpora's own are one more.
        tokenizer: of the run.
        config: how rows are joined, changed and batched.
        max_length: rows are cut at this many tokens.
        seed: of the run.
    """

    def __init__(  # noqa: PLR0913
        self,
        corpora: Sequence[Corpus],
        names: Mapping[str, Sequence[Sequence[str]]],
        tokenizer: Tokenizer,
        config: TagConfig,
        *,
        max_length: int,
        seed: int,
    ) -> None:
        self.corpora, self.tokenizer, self.config = corpora, tokenizer, config
        self.names = Names({kind: [*pools, _own_names(corpora, kind)] for kind, pools in names.items()})
        self.max_length, self.seed = max_length, seed
        self._epoch, self._first, self._plan = -1, 0, list[tuple[bool, list[Sentence]]]()

    def step(self, number: int) -> tuple[Rows, bool]:
        """Return the batch of a step and whether it is the auxiliary head's. Steps are asked for in rising order."""
        while number >= self._first + len(self._plan):
            self._first += len(self._plan)
            self._epoch += 1
            self._plan = self._plan_epoch(self._epoch)
        auxiliary, sentences = self._plan[number - self._first]
        rng = random.Random(f"{self.seed} step {number}")  # noqa: S311
        changed = [self._change(sentence, rng) for sentence in sentences]
        return self.rows(changed), auxiliary

    def rows(self, sentences: Sequence[Sentence]) -> Rows:
        """Tokenise and tag the sentences of a batch."""
        return encode(self.tokenizer, sentences, most=self.max_length, with_words=self.config.words > 0)

    def epoch_steps(self) -> int:
        """Return how many steps an epoch has; joining makes it differ a little from one to the next."""
        return len(self._plan_epoch(0))

    def _change(self, sentence: Sentence, rng: random.Random) -> Sentence:
        if sentence.spans and rng.random() < self.config.replace_share:
            sentence = replace_names(sentence, self.names, rng)
        if rng.random() < self.config.noise_share:
            sentence = add_noise(sentence, rng)
        return sentence

    def _plan_epoch(self, epoch: int) -> list[tuple[bool, list[Sentence]]]:
        """Lay out an epoch: which sentences, joined or not, stand in which batch; like lengths go together."""
        rng = random.Random(f"{self.seed} epoch {epoch}")  # noqa: S311
        plan: list[tuple[bool, list[Sentence]]] = []
        copies = self.config.template_copies
        for auxiliary in (False, True):
            rows = [row for corpus in self.corpora if corpus.auxiliary == auxiliary for row in self._rows(corpus, rng)]
            if not auxiliary:
                rows += [fill(template, self.names, rng) for template in self.config.templates for _ in range(copies)]
            rng.shuffle(rows)
            for begin in range(0, len(rows), 4096):
                chunk = sorted(rows[begin : begin + 4096], key=lambda row: len(row.text))
                plan += [(auxiliary, group) for group in self._groups(chunk)]
        rng.shuffle(plan)
        return plan

    def _groups(self, rows: Sequence[Sentence]) -> list[list[Sentence]]:
        groups: list[list[Sentence]] = [[]]
        for row in rows:
            if groups[-1] and (len(groups[-1]) + 1) * (len(row.text) + SPECIAL_TOKENS) > self.config.batch_tokens:
                groups.append([])
            groups[-1].append(row)
        return [group for group in groups if group]

    def _rows(self, corpus: Corpus, rng: random.Random) -> list[Sentence]:
        """Repeat a corpus by its weight, and join some runs of consecutive sentences."""
        rows: list[Sentence] = []
        whole, part = int(corpus.weight), corpus.weight % 1
        for share in [1.0] * whole + [part]:
            index = 0
            while index < len(corpus.sentences):
                end, size = index + 1, len(corpus.sentences[index].text)
                target = rng.uniform(60, self.config.join_chars) if rng.random() < self.config.join_share else 0
                while end < len(corpus.sentences) and size + len(corpus.sentences[end].text) <= target:
                    size += len(corpus.sentences[end].text)
                    end += 1
                if size and (share == 1.0 or rng.random() < share):
                    rows.append(join(corpus.sentences[index:end]))
                index = end
        return rows


def _own_names(corpora: Sequence[Corpus], kind: str) -> list[str]:
    """Return the corpora's names of a type, each as often as it stands there: lists lack what people really write."""
    return [s.text[p.start : p.end] for c in corpora for s in c.sentences for p in s.spans if p.type == kind]
