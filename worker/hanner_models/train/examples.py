"""Sample batches of token ids and tags from labelled sentences. A batch depends only on the seed and its number."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from hanner_inference.tokenization import SPECIAL_TOKENS
from hanner_inference.tokenization.normalise import normalise
from hanner_models.data.datasets import Sentence
from hanner_models.train.augment import NamePools, add_noise, change_case, fill_template, join_sentences, replace_names
from hanner_models.train.config import SampleConfig
from hanner_models.train.vocabulary import special_ids
from hanner_models.train.word_tags import IGNORED, tag_words

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG")


class TrainingBatch(NamedTuple):
    """One batch of int64 arrays. The tags have no columns for [CLS] and [SEP].

    Attributes:
        input_ids: [rows, length].
        attention_mask: [rows, length].
        tags: [rows, length - 2], indices into the labels.
        word_tags: [rows, length - 2], see word_tags.py; IGNORED where a token has none.
    """

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    tags: NDArray[np.int64]
    word_tags: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Corpus:
    """A list of sentences.

    Attributes:
        sentences: in their order, so that consecutive ones can be joined.
        weight: number of times that an epoch has each of them; may be a fraction.
        auxiliary: whether the auxiliary head learns from them.
    """

    sentences: Sequence[Sentence]
    weight: float
    auxiliary: bool


def encode(
    tokenizer: Tokenizer, sentences: Sequence[Sentence], *, max_length: int, with_word_tags: bool = False
) -> TrainingBatch:
    """Return tokens and tags of sentences, truncated to `max_length` tokens including special ones."""
    ids = special_ids(tokenizer)
    texts = [normalise(s.text, half_width=True, lowercase=True) for s in sentences]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    counts = [min(len(e.ids), max_length - SPECIAL_TOKENS) for e in encodings]
    length = max(counts, default=0) + SPECIAL_TOKENS
    input_ids = np.full((len(texts), length), ids["[PAD]"], dtype=np.int64)
    mask = np.zeros_like(input_ids)
    tags = np.zeros((len(texts), length - SPECIAL_TOKENS), dtype=np.int64)
    word_tags = np.full_like(tags, IGNORED)
    input_ids[:, 0] = ids["[CLS]"]
    for row, (sentence, encoding, count) in enumerate(zip(sentences, encodings, counts, strict=True)):
        input_ids[row, 1 : count + 1] = encoding.ids[:count]
        input_ids[row, count + 1] = ids["[SEP]"]
        mask[row, : count + SPECIAL_TOKENS] = 1
        _tag(tags[row], sentence, encoding.offsets[:count])
        if with_word_tags:
            word_tags[row, :count] = tag_words(texts[row], encoding.offsets[:count])
    return TrainingBatch(input_ids, mask, tags, word_tags)


def _tag(tags: NDArray[np.int64], sentence: Sentence, offsets: Sequence[tuple[int, int]]) -> None:
    token = 0
    for span in sentence.spans:
        first = True
        while token < len(offsets) and offsets[token][0] < span.end:
            if offsets[token][0] >= span.start:
                tags[token] = LABELS.index(("B-" if first else "I-") + span.type)
                first = False
            token += 1


class SentenceSampler:
    """Samples the sentences of each step, joined, augmented and grouped by length.

    Args:
        corpora: the training data.
        names: replacement names; the names in the corpora are added as another pool.
        config: how sentences are joined, augmented and batched.
        seed: of the run.
        to_traditional: converts a text to traditional characters, one for one; needed if the configuration has it.
    """

    def __init__(
        self,
        corpora: Sequence[Corpus],
        names: NamePools,
        config: SampleConfig,
        *,
        seed: int,
        to_traditional: Callable[[str], str] | None = None,
    ) -> None:
        self.corpora, self.config, self.seed = corpora, config, seed
        pools = {kind: [*pools, _corpus_names(corpora, kind)] for kind, pools in names.pools.items()}
        self.names = NamePools(pools, names.addresses)
        self.to_traditional = to_traditional
        self._epoch, self._first, self._plan = -1, 0, list[tuple[bool, list[Sentence]]]()

    def sample(self, step: int) -> tuple[list[Sentence], bool]:
        """Return the sentences of a step, and whether they are for the auxiliary head. Steps must not decrease."""
        while step >= self._first + len(self._plan):
            self._first += len(self._plan)
            self._epoch += 1
            self._plan = self._plan_epoch(self._epoch)
        auxiliary, sentences = self._plan[step - self._first]
        rng = random.Random(f"{self.seed} step {step}")  # noqa: S311
        return [self._augment(sentence, rng) for sentence in sentences], auxiliary

    def steps_per_epoch(self) -> int:
        """Return the number of steps of the first epoch; it differs a little between epochs."""
        return len(self._plan_epoch(0))

    def _augment(self, sentence: Sentence, rng: random.Random) -> Sentence:
        if sentence.spans and rng.random() < self.config.replace_share:
            sentence = replace_names(sentence, self.names, rng)
        if rng.random() < self.config.noise_share:
            sentence = add_noise(sentence, rng)
        if self.config.case_share and rng.random() < self.config.case_share:
            sentence = change_case(sentence, rng)
        if self.to_traditional and rng.random() < self.config.traditional_share:
            sentence = Sentence(self.to_traditional(sentence.text), sentence.spans)
        return sentence

    def _plan_epoch(self, epoch: int) -> list[tuple[bool, list[Sentence]]]:
        """Return the batches of an epoch as lists of sentences of similar length, each with its head."""
        rng = random.Random(f"{self.seed} epoch {epoch}")  # noqa: S311
        plan: list[tuple[bool, list[Sentence]]] = []
        copies = self.config.template_copies
        for auxiliary in (False, True):
            corpora = [corpus for corpus in self.corpora if corpus.auxiliary == auxiliary]
            rows = [row for corpus in corpora for row in self._repeat_and_join(corpus, rng)]
            if not auxiliary:
                rows += [
                    fill_template(template, self.names, rng)
                    for template in self.config.templates
                    for _ in range(copies)
                ]
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

    def _repeat_and_join(self, corpus: Corpus, rng: random.Random) -> list[Sentence]:
        """Return the sentences of a corpus, repeated by its weight, some consecutive ones joined."""
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
                    rows.append(join_sentences(corpus.sentences[index:end]))
                index = end
        return rows


def _corpus_names(corpora: Sequence[Corpus], kind: str) -> list[str]:
    """Return the names of a type in the corpora, each as often as it occurs."""
    return [s.text[p.start : p.end] for c in corpora for s in c.sentences for p in s.spans if p.type == kind]
