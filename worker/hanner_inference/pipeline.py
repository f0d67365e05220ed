"""From texts to entities: normalise, tokenise, cut windows, batch by length, run the engine, decode, merge.

Pure but for the engine and the clock that times the stages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from hanner.contract import DEFAULT_MAX_TEXT_CHARS, Entity, text_error
from hanner.errors import InvalidText, ModelFailed
from hanner_inference.decoding.spans import Span, decode, gather, merge, to_entities, to_tokens
from hanner_inference.dictionary.parser import Fold
from hanner_inference.engine.base import Batch, Engine
from hanner_inference.grouping import group_by_length
from hanner_inference.package import ModelPackage
from hanner_inference.tokenization.tokens import TextTokenizer, Tokens
from hanner_inference.tokenization.windows import Window, cut, sentence_ends

if TYPE_CHECKING:
    from hanner_inference.dictionary.dictionary import Dictionary

SPECIALS = 2
"""Tokens around every window: [CLS] and [SEP]."""
OVERLAP = 64
"""Tokens a window reads beyond those it owns, on either side; less where the model's windows are short."""
SLAB_BATCHES = 32
"""Texts are worked on in slabs of about this many full batches, so that memory does not grow with their number."""
DECODED_TOKENS = 32_768
"""Most tokens, padding included, whose scores are decoded at once: two megabytes in double precision."""


@dataclass(frozen=True, slots=True)
class RunStats:
    """What a run cost; the sum of two is what both cost.

    Attributes:
        windows: rows the engine was given.
        tokens: tokens in them, special ones included, padding not.
        padded_tokens: the same with padding: the sum of longest x count over batches.
        batches: times the engine ran.
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
        return type(self)(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def padding(self) -> float:
        """Share of the engine's tokens that was padding, 0 to 1."""
        return 1 - self.tokens / self.padded_tokens if self.padded_tokens else 0.0


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A text on its way: its tokens, its windows, and the spans found in each window so far."""

    text: str
    tokens: Tokens
    windows: list[Window]
    found: list[list[Span]]


@dataclass(frozen=True, slots=True)
class _Scored:
    """A batch that the engine is done with: its windows, and the scores [rows, longest, labels] of their tokens."""

    places: list[tuple[_Prepared, int]]
    emissions: NDArray[np.float32]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def longest(self) -> int:
        return int(self.emissions.shape[1])


class Recogniser:
    """Finds the entities in texts. What it finds in one does not depend on the others.

    Attributes:
        package: the model package in use.
        dictionary: the terms that override it, if there are any.
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
            package: an opened package.
            engine: runs its encoder.
            batch_texts: most windows in one batch.
            batch_tokens: most tokens in one batch after padding.
            max_padding: largest share of a batch's tokens that may be padding.
            max_text_chars: longest text `extract` takes, in code points.
            overlap: tokens a window reads beyond its own on either side; at most a quarter of a window.
            dictionary: file of terms that override the model.

        Raises:
            ModelPackageError: the package was changed since it was opened.
            DictionaryError: the dictionary cannot be used.
        """
        self.package = package
        self._engine = engine
        self._tokenizer = package.tokenizer()
        self._labels = package.labels()
        self._crf = package.crf()
        self._window = package.manifest.tokenizer.max_length - SPECIALS
        self._overlap = min(overlap, self._window // 4)
        self._limits = {"max_rows": batch_texts, "max_tokens": batch_tokens}
        self._max_padding = max_padding
        self._max_text_chars = max_text_chars
        self.dictionary = _open_dictionary(dictionary, self._tokenizer) if dictionary else None

    @property
    def batch_texts(self) -> int:
        """Most windows in one batch."""
        return self._limits["max_rows"]

    @property
    def batch_tokens(self) -> int:
        """Most tokens in one batch after padding."""
        return self._limits["max_tokens"]

    @property
    def model(self) -> str:
        """NAME@DIGEST8, as results carry it."""
        return self.package.id

    def extract(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text, in order and never overlapping.

        Raises:
            InvalidText: a text cannot be worked on; the sentence says which and why.
            ModelFailed: the engine failed.
        """
        if isinstance(texts, str):
            raise InvalidText("extract takes a list of texts; put the text into one: extract([text])")
        for number, text in enumerate(texts):
            if fault := text_error(text, self._max_text_chars):
                raise InvalidText(f"texts[{number}]: {fault}")
        return self.run(texts)[0]

    def run(self, texts: Sequence[str]) -> tuple[list[list[Entity]], RunStats]:
        """Return the entities of each text, and what it cost. Texts must be valid: see `hanner.contract.text_error`.

        Raises:
            ModelFailed: the engine failed.
        """
        entities: list[list[Entity]] = []
        total = RunStats()
        before = perf_counter()
        for slab in self._slabs(texts):
            prepared = perf_counter()
            total += RunStats(tokenise=prepared - before) + self._infer(slab)
            before = perf_counter()
            entities += map(self._finish, slab)
            after = perf_counter()
            total += RunStats(decode=after - before)
            before = after
        return entities, total

    def _slabs(self, texts: Sequence[str]) -> Iterator[list[_Prepared]]:
        slab: list[_Prepared] = []
        tokens = 0
        for text in texts:
            item = self._prepare(text)
            slab.append(item)
            tokens += len(item.tokens)
            if tokens >= SLAB_BATCHES * self._limits["max_tokens"]:
                yield slab
                slab, tokens = [], 0
        if slab:
            yield slab

    def _prepare(self, text: str) -> _Prepared:
        tokens = self._tokenizer.encode(text)
        if len(tokens) <= self._window:
            windows = [Window(0, len(tokens), 0, len(tokens))] if len(tokens) else []
        else:
            windows = cut(sentence_ends(text, tokens.starts), size=self._window, overlap=self._overlap)
        return _Prepared(text, tokens, windows, [[] for _ in windows])

    def _infer(self, slab: list[_Prepared]) -> RunStats:
        """Run all windows of the slab and leave in it what was found."""
        places = [(item, number) for item in slab for number in range(len(item.windows))]
        lengths = [len(item.windows[number]) + SPECIALS for item, number in places]
        total = RunStats()
        waiting: list[_Scored] = []
        for group in group_by_length(lengths, **self._limits, max_padding=self._max_padding):
            scored, stats = self._run_batch([places[index] for index in group])
            total += stats
            # The first group has the longest rows.
            if waiting and (sum(map(len, waiting)) + len(scored)) * waiting[0].longest > DECODED_TOKENS:
                total += self._decode_all(waiting)
                waiting = []
            waiting.append(scored)
        return total + self._decode_all(waiting) if waiting else total

    def _run_batch(self, places: list[tuple[_Prepared, int]]) -> tuple[_Scored, RunStats]:
        started = perf_counter()
        batch = self._batch(places)
        batched = perf_counter()
        scores = self._engine.run(batch)
        stats = RunStats(
            windows=len(places),
            tokens=int(batch.lengths.sum()),
            padded_tokens=batch.input_ids.size,
            batches=1,
            tokenise=batched - started,
            infer=perf_counter() - batched,
        )
        return _Scored(places, scores[:, 1:-1], batch.lengths - SPECIALS), stats

    def _decode_all(self, scored: list[_Scored]) -> RunStats:
        """Decode several batches at once: the CRF's steps take hardly longer for many rows than for one."""
        started = perf_counter()
        places = [place for each in scored for place in each.places]
        emissions = np.zeros((len(places), scored[0].longest, scored[0].emissions.shape[2]), dtype=np.float32)
        row = 0
        for each in scored:
            emissions[row : row + len(each), : each.longest] = each.emissions
            row += len(each)
        self._decode(places, emissions, np.concatenate([each.lengths for each in scored]))
        return RunStats(decode=perf_counter() - started)

    def _decode(
        self, places: list[tuple[_Prepared, int]], emissions: NDArray[np.float32], lengths: NDArray[np.int64]
    ) -> None:
        """Leave in each place the spans that its scores say."""
        if not np.isfinite(emissions[np.arange(emissions.shape[1]) < lengths[:, None]]).all():
            raise ModelFailed("the model gave scores that are no numbers; its package is damaged or was made wrongly")
        masked = any(len(item.tokens.labelled) < len(item.tokens) for item, _ in places)
        if masked:
            labelled = [item.tokens.labelled_in(item.windows[number]) for item, number in places]
            # A window inside one overlong word has none.
            kept = [row for row, own in enumerate(labelled) if len(own)]
            places = [places[row] for row in kept]
            emissions, lengths = gather(emissions[kept], [labelled[row] for row in kept])
        if not places:
            return
        found = decode(emissions, lengths, self._crf, self._labels, self.package.manifest.spans)
        for (item, number), spans in zip(places, found, strict=True):
            window, tokens = item.windows[number], item.tokens
            item.found[number] = to_tokens(spans, tokens.labelled, window, len(tokens)) if masked else spans

    def _finish(self, item: _Prepared) -> list[Entity]:
        """Return the entities of a text whose windows are done."""
        entities = to_entities(item.text, item.tokens, merge(item.windows, item.found))
        return entities if self.dictionary is None else self.dictionary.apply(item.text, entities)

    def _batch(self, places: list[tuple[_Prepared, int]]) -> Batch:
        lengths = np.array([len(item.windows[number]) + SPECIALS for item, number in places], dtype=np.int64)
        ids = np.zeros((len(places), int(lengths.max())), dtype=np.int64)
        ids[:, 0] = self._tokenizer.cls_id
        for row, (item, number) in enumerate(places):
            window = item.windows[number]
            ids[row, 1 : 1 + len(window)] = item.tokens.ids[window.start : window.end]
            ids[row, 1 + len(window)] = self._tokenizer.sep_id
        return Batch(ids, lengths)


def _open_dictionary(path: str | Path, tokenizer: TextTokenizer) -> "Dictionary":
    """Open a dictionary that makes no difference where the model makes none, by its options or in its tokenizer."""
    from hanner_inference.dictionary.dictionary import Dictionary  # noqa: PLC0415 - few have one

    fold = Fold(lowercase=tokenizer.is_same("ABC", "abc"), half_width=tokenizer.is_same("ａｂｃ１", "abc1"))
    return Dictionary(path, fold)
