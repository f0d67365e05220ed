"""Compare two engines on the same texts: labels, logits, entities, F1. Pure except for the engines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hanner_inference.decoding.crf import Crf
from hanner_inference.decoding.spans import gather
from hanner_inference.engine.base import Batch, Engine
from hanner_inference.package import ModelPackage
from hanner_inference.pipeline import Recogniser
from hanner_models.conversion.calibration_data import make_batches
from hanner_models.data.datasets import Sentence
from hanner_models.evaluation.evaluate import agreement, score
from hanner_models.source import Source

MIN_AGREEMENT = 0.995
"""Minimum share of tokens that must have the same label as in FP32."""
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


def compare(source: Source, texts: Sequence[str], engine: Engine, reference: Engine) -> Difference:
    """Compare labels and logits of two engines on texts that are truncated to the model's length."""
    crf = Crf(*(source.weights[f"crf.{part}"].astype(np.float64) for part in Crf.__dataclass_fields__))
    tokens = same = 0
    largest = total = 0.0
    for item in make_batches(source, texts):
        rows = [row for row, places in enumerate(item.labelled) if len(places)]
        if not rows:
            continue
        batch = Batch(item.batch.input_ids[rows], item.batch.lengths[rows])
        places = [item.labelled[row] for row in rows]
        (scores, counts), (exact, _) = (gather(each.run(batch), places) for each in (engine, reference))
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
