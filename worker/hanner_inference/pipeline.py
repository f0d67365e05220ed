"""From texts to entities: tokenise, split into windows, batch by length, run the engine, decode, merge.

Pure, except for the engine and the clock that times the stages.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import add, attrgetter
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from hanner.contract import DEFAULT_MAX_TEXT_CHARS, text_error
from hanner.errors import InvalidText, ModelFailed
from hanner.results import Entity
from hanner_inference.decoding.consistency import agree_on_types
from hanner_inference.decoding.spans import Span, decode, gather, merge_windows, to_entities, to_token_spans
from hanner_inference.decoding.words import find_words, keep_words_whole
from hanner_inference.dictionary.parser import Folding
from hanner_inference.engine.base import Batch, Engine
from hanner_inference.grouping import group_by_length
from hanner_inference.package import ModelPackage
from hanner_inference.tokenization import SPECIAL_TOKENS
from hanner_inference.tokenization.rows import Row
from hanner_inference.tokenization.tokenizer import TextTokenizer
from hanner_inference.tokenization.tokens import Tokens
from hanner_inference.tokenization.windows import Window, find_sentence_ends, split_windows

if TYPE_CHECKING:
    from hanner_inference.dictionary.dictionary import Dictionary

OVERLAP = 64
"""Tokens that a window reads on each side of those it owns; fewer if the model's windows are short."""
BLOCK_BATCHES = 32
"""Texts are processed in blocks of about this many full batches, so that memory does not grow with their number."""
PART_TOKENS = 256
"""Tokens of a run of the engine that can be interrupted: the engine runs parts of this size anyway."""
DECODED_TOKENS = 32_768
"""Maximum number of tokens, with padding, whose scores are decoded together: two megabytes in double precision."""


@dataclass(frozen=True, slots=True)
class RunStats:
    """The cost of a run. The sum of two is the cost of both.

    Attributes:
        windows: rows passed to the engine.
        tokens: tokens in these rows, with special tokens and without padding.
        padded_tokens: the same with padding: the sum of longest x count over all batches.
        batches: number of engine runs.
        tokenise: seconds from texts to windows.
        infer: seconds in the engine.
        decode: seconds from scores to entities.
    """

    windows: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    batches: int = 0
    tokenise: float = 0.0
    infer: float = 0.0
    decode: float = 0.0

    def __add__(self, other: Self) -> Self:
        return type(self)(*map(add, _field_values(self), _field_values(other)))

    @property
    def padding(self) -> float:
        """Return the share of the engine's tokens that was padding, 0 to 1."""
        return 1 - self.tokens / self.padded_tokens if self.padded_tokens else 0.0

    @property
    def seconds(self) -> float:
        """Return the time of all stages."""
        return self.tokenise + self.infer + self.decode


_field_values = attrgetter(*(field.name for field in fields(RunStats)))

WindowSpans = list[list[Span] | None]
"""The spans of each window of a text; None for a window that the model has not processed yet."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """When a run is interrupted, and what has been found by then.

    Attributes:
        is_due: called between two runs of the engine, of which there is at least one; True interrupts the run.
        max_tokens: tokens of one run of the engine, unless a single window is longer; at least PART_TOKENS are allowed.
        spans: by text. An interrupted run leaves the spans of its processed windows here, from which the next run of
            the same texts continues.
    """

    is_due: Callable[[], bool]
    max_tokens: int
    spans: dict[str, WindowSpans]


@dataclass(frozen=True, slots=True)
class _TokenisedText:
    """A text in progress: its tokens, its windows as rows, and the spans found in each window so far."""

    text: str
    tokens: Tokens
    windows: list[Window]
    rows: list[Row]
    window_spans: WindowSpans

    def is_done(self) -> bool:
        return None not in self.window_spans


_WindowOf = tuple[_TokenisedText, int]
"""A text and the index of one of its windows."""


@dataclass(frozen=True, slots=True)
class _ScoredBatch:
    """A batch after the engine: its windows, and the scores [rows, longest, labels] of their tokens."""

    rows: list[_WindowOf]
    emissions: NDArray[np.float32]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def longest(self) -> int:
        return int(self.emissions.shape[1])


class Recogniser:
    """Finds the entities in texts. The result for a text does not depend on the other texts.

    Attributes:
        package: the model package in use.
        dictionary: the terms that override the model; None without a dictionary.
        warm_up: the cost of a short text after loading; None if the engine was not warmed up.
    """

    def __init__(  # noqa: PLR0913  limits, each with its default
        self,
        package: ModelPackage,
        engine: Engine,
        *,
        batch_texts: int = 32,
        batch_tokens: int = 2048,
        max_padding: float = 0.1,
        max_text_chars: int = DEFAULT_MAX_TEXT_CHARS,
        overlap: int = OVERLAP,
        dictionary: str | Path | None = None,
    ) -> None:
        """Read tokenizer and CRF of `package`.

        Args:
            package: an open package.
            engine: runs the encoder of the package.
            batch_texts: maximum number of windows in a batch.
            batch_tokens: maximum number of tokens in a batch, with padding.
            max_padding: maximum share of a batch's tokens that may be padding.
            max_text_chars: maximum length of a text for `extract`, in code points.
            overlap: tokens that a window reads on each side of those it owns; limited to a quarter of a window.
            dictionary: file of terms that override the model.

        Raises:
            ModelPackageError: if the package was changed since it was opened.
            DictionaryError: if the dictionary is not valid.
        """
        self.package = package
        self._engine = engine
        self._tokenizer = package.tokenizer()
        self._labels = package.labels()
        self._crf = package.crf()
        self._window_size = package.manifest.tokenizer.max_length - SPECIAL_TOKENS
        self._overlap = min(overlap, self._window_size // 4)
        self._limits = {"max_rows": batch_texts, "max_tokens": batch_tokens}
        self._max_padding = max_padding
        self._max_text_chars = max_text_chars
        self.warm_up: RunStats | None = None
        self.dictionary = _open_dictionary(dictionary, self._tokenizer) if dictionary else None

    @property
    def batch_texts(self) -> int:
        """Return the maximum number of windows in a batch."""
        return self._limits["max_rows"]

    @property
    def batch_tokens(self) -> int:
        """Return the maximum number of tokens in a batch, with padding."""
        return self._limits["max_tokens"]

    @property
    def model(self) -> str:
        """Return NAME@DIGEST8, the model id in results."""
        return self.package.id

    @property
    def types(self) -> list[str]:
        """Return the types that entities may have, of the model and the dictionary, sorted."""
        of_dictionary = self.dictionary.types if self.dictionary else ()
        return sorted({kind for kind in self._labels.types if kind} | set(of_dictionary))

    def extract(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text, in order and without overlaps.

        Args:
            texts: a list of any number of texts.

        Raises:
            InvalidText: if a text is not valid; the message contains its index.
            ModelFailed: if the engine fails.
        """
        if isinstance(texts, str):
            raise InvalidText("extract takes a list of texts; put the text into one: extract([text])")
        for index, text in enumerate(texts):
            if fault := text_error(text, self._max_text_chars):
                raise InvalidText(f"texts[{index}]: {fault}")
        return self.run(texts)[0]

    def run(self, texts: Sequence[str]) -> tuple[list[list[Entity]], RunStats]:
        """Return the entities of each text, and the cost. Other than in `extract`, the texts are not validated.

        Args:
            texts: valid texts, see `hanner.contract.text_error`.

        Raises:
            ModelFailed: if the engine fails.
        """
        entities: list[list[Entity]] = []
        stats = self._run(texts, None, lambda block: entities.extend(map(self._entities, block)))
        return entities, stats

    def run_until(self, texts: Sequence[str], interruption: Interruption) -> tuple[dict[str, list[Entity]], RunStats]:
        """Return the entities of the texts that were finished before the interruption, and the cost.

        Args:
            texts: valid texts, all different.
            interruption: when to return, and the state of the run.

        Raises:
            ModelFailed: if the engine fails.
        """
        found: dict[str, list[Entity]] = {}

        def finish(block: list[_TokenisedText]) -> None:
            for item in block:
                interruption.spans[item.text] = item.window_spans
                if item.is_done():
                    found[item.text] = self._entities(item)

        return found, self._run(texts, interruption, finish)

    def _run(
        self,
        texts: Sequence[str],
        interruption: Interruption | None,
        finish: Callable[[list[_TokenisedText]], None],
    ) -> RunStats:
        """Run the texts block by block, and call `finish` with each."""
        total = RunStats()
        before = perf_counter()
        for block in self._blocks(texts, {} if interruption is None else interruption.spans):
            tokenised = perf_counter()
            total += RunStats(tokenise=tokenised - before)
            total += self._infer(block, interruption, ran=total.batches > 0)
            before = perf_counter()
            finish(block)
            after = perf_counter()
            total += RunStats(decode=after - before)
            before = after
            if not all(item.is_done() for item in block):
                break
        return total

    def _blocks(self, texts: Sequence[str], spans: Mapping[str, WindowSpans]) -> Iterator[list[_TokenisedText]]:
        block: list[_TokenisedText] = []
        tokens = 0
        for text in texts:
            item = self._tokenise(text, spans.get(text))
            block.append(item)
            tokens += len(item.tokens)
            if tokens >= BLOCK_BATCHES * self._limits["max_tokens"]:
                yield block
                block, tokens = [], 0
        if block:
            yield block

    def _tokenise(self, text: str, spans: WindowSpans | None) -> _TokenisedText:
        tokens = self._tokenizer.encode(text)
        if len(tokens) <= self._window_size:
            windows = [Window(0, len(tokens), 0, len(tokens))] if len(tokens) else []
        else:
            sentence_ends = find_sentence_ends(text, tokens.starts)
            windows = split_windows(sentence_ends, size=self._window_size, overlap=self._overlap)
        rows = [self._tokenizer.row(text, tokens, window) for window in windows]
        return _TokenisedText(text, tokens, windows, rows, [None] * len(windows) if spans is None else spans)

    def _infer(self, block: list[_TokenisedText], interruption: Interruption | None, *, ran: bool) -> RunStats:
        """Run the windows of the block and set their spans, until the interruption.

        Args:
            block: the texts.
            interruption: when to return earlier.
            ran: whether the engine has run before.
        """
        rows = [(item, index) for item in block for index, spans in enumerate(item.window_spans) if spans is None]
        limits = self._limits
        if interruption is not None:
            limits = limits | {"max_tokens": min(limits["max_tokens"], max(PART_TOKENS, interruption.max_tokens))}
        lengths = [len(item.rows[index]) for item, index in rows]
        total = RunStats()
        pending: list[_ScoredBatch] = []
        for group in group_by_length(lengths, **limits, max_padding=self._max_padding):
            if interruption is not None and (ran or total.batches) and interruption.is_due():
                break
            scored, stats = self._run_batch([rows[index] for index in group])
            total += stats
            longest = max((batch.longest for batch in pending), default=0)
            if pending and (sum(map(len, pending)) + len(scored)) * max(longest, scored.longest) > DECODED_TOKENS:
                total += self._decode_all(pending)
                pending = []
            pending.append(scored)
        return total + self._decode_all(pending) if pending else total

    def _run_batch(self, rows: list[_WindowOf]) -> tuple[_ScoredBatch, RunStats]:
        started = perf_counter()
        batch = Batch.from_rows([item.rows[index] for item, index in rows])
        batched = perf_counter()
        scores = self._engine.run(batch)
        stats = RunStats(
            windows=len(rows),
            tokens=int(batch.lengths.sum()),
            padded_tokens=batch.input_ids.size,
            batches=1,
            tokenise=batched - started,
            infer=perf_counter() - batched,
        )
        return _ScoredBatch(rows, *batch.without_special(scores)), stats

    def _decode_all(self, batches: list[_ScoredBatch]) -> RunStats:
        """Decode several batches at once: a step of the CRF takes little longer for many rows than for one."""
        started = perf_counter()
        rows = [row for batch in batches for row in batch.rows]
        longest, labels = max(batch.longest for batch in batches), len(self._labels)
        emissions = np.zeros((len(rows), longest, labels), dtype=np.float32)
        first = 0
        for batch in batches:
            emissions[first : first + len(batch), : batch.longest] = batch.emissions
            first += len(batch)
        self._decode(rows, emissions, np.concatenate([batch.lengths for batch in batches]))
        return RunStats(decode=perf_counter() - started)

    def _decode(self, rows: list[_WindowOf], emissions: NDArray[np.float32], lengths: NDArray[np.int64]) -> None:
        """Set the spans of each row's window."""
        if not np.isfinite(emissions[np.arange(emissions.shape[1]) < lengths[:, None]]).all():
            raise ModelFailed("the model returned scores that are not finite numbers; its package is damaged or wrong")
        for item, index in rows:
            item.window_spans[index] = []
        masked = any(len(item.tokens.labelled) < len(item.tokens) for item, _ in rows)
        if masked:
            labelled = [item.tokens.labelled_in(item.windows[index]) for item, index in rows]
            # A window inside one very long word has no labelled tokens.
            kept = [row for row, indices in enumerate(labelled) if len(indices)]
            rows = [rows[row] for row in kept]
            emissions, lengths = gather(emissions[kept], [labelled[row] for row in kept])
        if not rows:
            return
        if self.package.manifest.labels_characters:
            emissions = keep_words_whole(emissions, list(map(_words_of_window, rows)), self._labels)
        decoded = decode(emissions, lengths, self._crf, self._labels, self.package.manifest.spans)
        for (item, index), spans in zip(rows, decoded, strict=True):
            window, tokens = item.windows[index], item.tokens
            item.window_spans[index] = to_token_spans(spans, tokens.labelled, window, len(tokens)) if masked else spans

    def _entities(self, item: _TokenisedText) -> list[Entity]:
        """Return the entities of a text whose windows are all decoded."""
        window_spans = [spans or [] for spans in item.window_spans]
        entities = to_entities(item.text, item.tokens, merge_windows(item.windows, window_spans))
        if self.package.manifest.consistent_types and len(entities) > 1:
            entities = agree_on_types(entities)
        return entities if self.dictionary is None else self.dictionary.apply(item.text, entities)


def _words_of_window(row: _WindowOf) -> list[tuple[int, int]]:
    """Return start and end of the words in alphabets of a window; its tokens are the characters of the text."""
    item, index = row
    window = item.windows[index]
    return find_words(item.text[window.start : window.end])


def _open_dictionary(path: str | Path, tokenizer: TextTokenizer) -> "Dictionary":
    """Return a dictionary that folds the characters which the model cannot distinguish."""
    from hanner_inference.dictionary.dictionary import Dictionary  # noqa: PLC0415 - rarely used

    folding = Folding(
        lowercase=tokenizer.is_same("ABC", "abc"),
        half_width=tokenizer.is_same("ａｂｃ１", "abc1"),
        traditional=tokenizer.is_same("馬雲", "马云"),
    )
    return Dictionary(path, folding)
