"""Labellings drawn from the distribution of a model package. Does not import torch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hanner_inference.decoding.lattice import Lattice
from hanner_inference.decoding.spans import Span as TokenSpan
from hanner_inference.decoding.spans import gather, modelscope_bounds, span_bounds, to_entities, to_token_spans
from hanner_inference.decoding.words import find_words, keep_words_whole
from hanner_inference.engine.base import Batch
from hanner_inference.engine.onnx import OnnxEngine
from hanner_inference.package import ModelPackage
from hanner_inference.tokenization import SPECIAL_TOKENS
from hanner_inference.tokenization.tokens import Tokens
from hanner_inference.tokenization.windows import Window
from hanner_models.data.datasets import Sentence, Span


class Teacher:
    """A model whose answers a student learns.

    Args:
        package: of the model.

    Attributes:
        name: the package's id.
        types: the entity types of the model.
    """

    def __init__(self, package: ModelPackage) -> None:
        self.name = package.id
        self._tokenizer = package.tokenizer()
        self._labels = package.labels()
        self._crf = package.crf()
        self._manifest = package.manifest
        self._engine = OnnxEngine(package)
        self.types = sorted({kind for kind in self._labels.types if kind})

    def draw(self, texts: Sequence[str], count: int, rng: np.random.Generator) -> list[list[Sentence]]:
        """Return `count` labellings of the texts, each a list in the order of the texts.

        Only the tokens of a text that fit into one window of the model are labelled.

        Args:
            texts: to label.
            count: number of labellings.
            rng: source of randomness.
        """
        tokens = [self._tokenizer.encode(text) for text in texts]
        known = [index for index, found in enumerate(tokens) if len(found.labelled)]
        drawn = [[Sentence(text, ()) for text in texts] for _ in range(count)]
        if not known:
            return drawn
        windows = [self._window(found) for found in tokens]
        emissions, lengths = self._score(texts, tokens, windows, known)
        lattice = Lattice(self._crf, emissions, lengths)
        bounds = modelscope_bounds if self._manifest.spans == "modelscope" else span_bounds
        for labelling, paths in zip(drawn, lattice.sample_paths(count, rng), strict=True):
            spans: dict[int, list[TokenSpan]] = {}
            for row, start, end in zip(*(array.tolist() for array in bounds(paths, self._labels)), strict=True):
                kind = self._labels.types[paths[row, start]] or ""
                spans.setdefault(known[row], []).append(TokenSpan(start, end, kind, 1.0))
            for index, found in spans.items():
                labelling[index] = _sentence(texts[index], tokens[index], windows[index], found)
        return drawn

    def _window(self, tokens: Tokens) -> Window:
        count = min(len(tokens), self._manifest.tokenizer.max_length - SPECIAL_TOKENS)
        return Window(0, count, 0, count)

    def _score(
        self, texts: Sequence[str], tokens: Sequence[Tokens], windows: Sequence[Window], known: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the scores of labelled tokens [rows, length, labels] of the `known` texts, and their counts."""
        batch = Batch.from_rows([self._tokenizer.row(texts[i], tokens[i], windows[i]) for i in known])
        emissions, lengths = batch.without_special(self._engine.run(batch))
        if any(len(tokens[i].labelled) < len(tokens[i]) for i in known):
            return gather(emissions, [tokens[i].labelled_in(windows[i]) for i in known])
        if self._manifest.labels_characters:
            words = [find_words(texts[i][: windows[i].end]) for i in known]
            emissions = keep_words_whole(emissions, words, self._labels)
        return emissions, lengths


def _sentence(text: str, tokens: Tokens, window: Window, spans: list[TokenSpan]) -> Sentence:
    if len(tokens.labelled) < len(tokens):
        spans = to_token_spans(spans, tokens.labelled, window, len(tokens))
    entities = to_entities(text, tokens, spans)
    return Sentence(text, tuple(Span(entity.type, entity.start, entity.end) for entity in entities))
