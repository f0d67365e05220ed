"""Compare two engines on the same texts: labels, logits, entities, F1. Pure except for the engines."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hanner_inference.decoding.crf import Crf
from hanner_inference.decoding.spans import gather
from hanner_inference.engine.base import Batch, Engine
from hanner_inference.engine.onnx import graph_inputs
from hanner_inference.package import ModelPackage
from hanner_inference.pipeline import Recogniser
from hanner_models.conversion.calibration_data import make_batches
from hanner_models.data.datasets import Sentence
from hanner_models.evaluation.evaluate import agreement, score
from hanner_models.source import Source

MIN_AGREEMENT = 0.995
"""Minimum share of tokens that must have the same label as in FP32."""
_CONFIDENCE = 1.645
"""Quantile of the normal distribution for a one-sided bound of 95 %."""
_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between two engines.

    Attributes:
        texts: number of texts.
        tokens: number of labelled tokens in them.
        tag_agreement: share of those tokens that have the same label on the best path, from 0 to 1.
        largest_logit_error: largest difference between two logits of a labelled token.
        mean_logit_error: mean of those differences.
    """

    texts: int
    tokens: int
    tag_agreement: float
    largest_logit_error: float
    mean_logit_error: float

    def to_dict(self) -> dict[str, Any]:
        """Return the rounded values for the manifest."""
        return {
            "texts": self.texts,
            "tokens": self.tokens,
            "tag_agreement": round(self.tag_agreement, _DIGITS),
            "largest_logit_error": round(self.largest_logit_error, _DIGITS),
            "mean_logit_error": round(self.mean_logit_error, _DIGITS),
        }


class RememberedEngine:
    """An engine that remembers its results, because each candidate is compared with the same FP32 scores.

    Args:
        engine: the engine to run.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._results: dict[bytes, NDArray[np.float32]] = {}

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """Return the engine's scores for a batch."""
        key = hashlib.sha256(b"".join(array.tobytes() for array in graph_inputs(batch).values())).digest()
        if key not in self._results:
            self._results[key] = self._engine.run(batch)
        return self._results[key]


def pooled_agreement(figures: Mapping[str, Mapping[str, Any]]) -> float:
    """Return the share of the tokens of all files that have the same label, for figures of `Difference.to_dict`."""
    tokens = sum(entry["tokens"] for entry in figures.values())
    return sum(entry["tag_agreement"] * entry["tokens"] for entry in figures.values()) / tokens if tokens else 1.0


def agreement_problem(figures: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return which texts have too many different labels and how many, or None if INT8 agrees with FP32.

    All texts together must reach MIN_AGREEMENT. A single file fails only if it is below with a confidence of 95 %: two
    different labels in 300 tokens show nothing.

    Args:
        figures: `Difference.to_dict` by file.
    """
    for name, entry in figures.items():
        if _upper_bound(entry["tag_agreement"], entry["tokens"]) < MIN_AGREEMENT:
            return f"only {entry['tag_agreement']:.2%} of the {entry['tokens']:,} tokens of {name}"
    if (pooled := pooled_agreement(figures)) < MIN_AGREEMENT:
        return f"only {pooled:.2%} of the tokens"
    return None


def _upper_bound(share: float, count: int) -> float:
    """Return the upper bound of a share that was observed on `count` tokens (Wilson's score interval)."""
    if not count:
        return 1.0
    z = _CONFIDENCE
    spread = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return (share + z * z / (2 * count) + spread) / (1 + z * z / count)


def compare(source: Source, texts: Sequence[str], engine: Engine, reference: Engine) -> Difference:
    """Compare labels and logits of two engines on texts that are truncated to the model's length."""
    crf = Crf(*(source.weights[f"crf.{part}"].astype(np.float64) for part in Crf.__dataclass_fields__))
    tokens = same = 0
    largest = total = 0.0
    for item in make_batches(source, texts):
        rows = [row for row, units in enumerate(item.labelled) if len(units)]
        if not rows:
            continue
        units = [item.labelled[row] for row in rows]
        (scores, counts), (exact, _) = (
            gather(item.batch.without_special(each.run(item.batch))[0][rows], units) for each in (engine, reference)
        )
        inside = np.arange(scores.shape[1]) < counts[:, None]
        errors = np.abs(scores - exact)[inside]
        labels, expected = crf.best_paths(scores, counts), crf.best_paths(exact, counts)
        tokens += len(errors)
        same += int((labels == expected)[inside].sum())
        largest = max(largest, float(errors.max()))
        total += float(errors.mean(axis=1, dtype=np.float64).sum())
    return Difference(len(texts), tokens, same / tokens if tokens else 1.0, largest, total / tokens if tokens else 0.0)


def compare_entities(
    package: ModelPackage, sentences: Sequence[Sentence], engine: Engine, reference: Engine
) -> dict[str, Any]:
    """Return the F1 of both engines on labelled sentences, and the share of texts with the same entities."""
    texts = [sentence.text for sentence in sentences]
    found = [Recogniser(package, each).extract(texts) for each in (engine, reference)]
    f1, exact = (round(score(sentences, entities).total.f1, _DIGITS) for entities in found)
    return {"f1": f1, "fp32_f1": exact, "same_entities": round(agreement(*found), _DIGITS)}
