"""A fine-tune from labelled sentences to a verified INT8 package: train, merge, quantise, evaluate. Imports torch."""

import hashlib
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hanner.errors import HannerError
from hanner_inference.package import ModelPackage
from hanner_models.conversion.base_model import BaseTagger, open_base_model
from hanner_models.conversion.calibration_data import calibration_texts
from hanner_models.conversion.convert import MAX_CALIBRATION_TEXTS, Scheme, check_output, convert, open_recogniser
from hanner_models.data.datasets import DataError, Sentence, read_sentences, sample_texts
from hanner_models.evaluation.evaluate import Evaluation, evaluate
from hanner_models.finetune.labels import entity_types, relabel, target_labels
from hanner_models.finetune.options import FinetuneOptions
from hanner_models.finetune.trainer import FinetuneTrainer, evaluate_fp32
from hanner_models.source import Source

_MIN_HELD_OUT = 10


@dataclass(frozen=True)
class FinetuneRun:
    """A fine-tune, from files to a package.

    Attributes:
        base: the model to start from, see `open_base_model`.
        data: file of labelled sentences to learn from.
        out: folder of the package to create.
        options: of the training.
        dev: file of labelled sentences for choosing the best weights, and for the evaluation before and after.
        hold_out: share of the data that is used as `dev` if no file is given; 0 for no choice and no evaluation.
        name: of the model; by default that of the folder.
        scheme: of quantisation, see `convert`.
        force: write the package even if INT8 differs too much from FP32.
        calibrate: file of texts to calibrate INT8 with; by default the data and the built-in sentences.
    """

    base: str
    data: Path
    out: Path
    options: FinetuneOptions
    dev: Path | None = None
    hold_out: float = 0.1
    name: str | None = None
    scheme: Scheme = "auto"
    force: bool = False
    calibrate: Path | None = None

    @property
    def folder(self) -> Path:
        """Folder of the run, from which an interrupted run is resumed; removed when the package is complete."""
        return self.out.with_name(f"{self.out.name}.run")

    def run(self, progress: Callable[[str], None] = lambda _: None) -> "FinetuneResult":
        """Run or resume the fine-tune.

        Args:
            progress: called with a short description of each step.

        Raises:
            HannerError: a file, an option or the base cannot be used; the message has the next step.
        """
        check_output(self.out)
        base = open_base_model(self.base)
        sentences, dev = self._read()
        types = entity_types([*sentences, *dev])
        source = relabel(base.source, target_labels(types, base.source.labels))
        progress(_describe(base.source, source, len(sentences), len(dev)))
        trainer = FinetuneTrainer(source, sentences, dev, self.options, self.folder, progress=progress)
        tuned = trainer.run()
        package = convert(
            replace(tuned, training=self._metadata(base, source, sentences, trainer)),
            self.out,
            name=self.name or self.out.name,
            calibration=self._calibration(sentences),
            verification={self.dev.name if self.dev else "held out": dev} if dev else {},
            scheme=self.scheme,
            force=self.force,
            progress=progress,
        )
        shutil.rmtree(self.folder)
        if not dev:
            return FinetuneResult(package)
        before = (
            evaluate(open_recogniser(base.package).extract, dev) if base.package else evaluate_fp32(base.source, dev)
        )
        return FinetuneResult(package, before, evaluate(open_recogniser(package).extract, dev))

    def _read(self) -> tuple[list[Sentence], list[Sentence]]:
        if not 0 <= self.hold_out < 1:
            raise HannerError(f"--hold-out must be at least 0 and below 1, but is {self.hold_out}")
        sentences = read_sentences(self.data)
        if self.dev:
            return sentences, read_sentences(self.dev)
        random.Random(self.options.seed).shuffle(sentences)  # noqa: S311
        count = round(len(sentences) * self.hold_out)
        if self.hold_out and count < _MIN_HELD_OUT:
            raise DataError(
                f"{self.data} has {len(sentences)} sentences, too few to hold some out; give --dev FILE, or use "
                "--hold-out 0 to learn from all of them without an evaluation"
            )
        return sentences[count:], sentences[:count]

    def _calibration(self, sentences: Sequence[Sentence]) -> list[str]:
        if self.calibrate:
            return sample_texts(self.calibrate, MAX_CALIBRATION_TEXTS)
        return _own_and_built_in(sentences)

    def _metadata(
        self, base: BaseTagger, source: Source, sentences: Sequence[Sentence], trainer: FinetuneTrainer
    ) -> dict[str, Any]:
        """Return base, data, options and history of the fine-tune for the manifest."""
        training = dict(base.source.training)
        licences = training.pop("licences", ())
        return {
            "source": "hanner_models.finetune",
            "revision": f"seed {self.options.seed}",
            "licences": licences,
            "base": {"name": base.name, **training},
            "data": {
                "file": self.data.name,
                "sha256": hashlib.sha256(self.data.read_bytes()).hexdigest(),
                "sentences": len(sentences),
            },
            "new_labels": [label for label in source.labels if label not in base.source.labels],
            "options": self.options.to_dict(),
            "history": trainer.history,
        }


@dataclass(frozen=True)
class FinetuneResult:
    """The result of a fine-tune.

    Attributes:
        package: the package of the tuned model.
        before: evaluation of the base on `dev` or the held-out sentences, if there are any.
        after: evaluation of the package on them.
    """

    package: ModelPackage
    before: Evaluation | None = None
    after: Evaluation | None = None

    @property
    def evaluations(self) -> Mapping[str, Evaluation]:
        """Return the evaluations by their names."""
        named = {"before": self.before, "after": self.after}
        return {name: result for name, result in named.items() if result is not None}


def _own_and_built_in(sentences: Sequence[Sentence]) -> list[str]:
    """Return texts for calibration: up to one half from the data, the rest from the built-in sentences."""
    own = [sentence.text for sentence in sentences if sentence.text.strip()]
    built_in = calibration_texts()
    stride = max(1, len(own) * 2 // MAX_CALIBRATION_TEXTS)
    return [*own[::stride][: MAX_CALIBRATION_TEXTS // 2], *built_in][:MAX_CALIBRATION_TEXTS]


def _describe(base: Source, source: Source, sentences: int, dev: int) -> str:
    """Return a line with the numbers of sentences and the entity types."""

    def types(labels: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(label.partition("-")[2] for label in labels if label != "O"))

    old, new = types(base.labels), types(source.labels)
    parts = [f"{sentences:,} sentences for training, {dev:,} for evaluation", f"types {', '.join(new)}"]
    parts += [f"new: {', '.join(kind for kind in new if kind not in old)}"] * any(kind not in old for kind in new)
    parts += [f"dropped: {', '.join(kind for kind in old if kind not in new)}"] * any(kind not in new for kind in old)
    return "; ".join(parts)
