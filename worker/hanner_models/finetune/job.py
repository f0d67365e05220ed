"""From labelled sentences to a verified INT8 package in one go: read, tune, merge, quantise, measure. Imports torch."""

import hashlib
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hanner.errors import HannerError
from hanner_inference.package import ModelPackage
from hanner_models.conversion.calibration_data import for_calibration
from hanner_models.conversion.convert import CALIBRATION_TEXTS, Scheme, check_out, convert, recogniser
from hanner_models.data.datasets import DataError, Sentence, read_sentences
from hanner_models.evaluation.evaluate import Evaluation, evaluate
from hanner_models.finetune.base_model import Base, open_base
from hanner_models.finetune.labels import labels_for, relabel, types_of
from hanner_models.finetune.options import Options
from hanner_models.finetune.trainer import Tuning, measure
from hanner_models.source import Source

_FEWEST = 10


@dataclass(frozen=True)
class Job:
    """A fine-tune, from files to a package.

    Attributes:
        base: what to start from, see `open_base`.
        data: labelled sentences to learn from.
        out: folder of the package to make.
        options: how to tune.
        dev: labelled sentences to choose the weights by, and to measure before and after.
        hold_out: share of the data that serves as `dev` where there is none; 0: nothing is chosen or measured.
        name: of the model.
        scheme: of quantisation, see `convert`.
        force: write the package even if INT8 is too far from FP32.
    """

    base: str
    data: Path
    out: Path
    options: Options
    dev: Path | None = None
    hold_out: float = 0.1
    name: str | None = None
    scheme: Scheme = "auto"
    force: bool = False

    @property
    def folder(self) -> Path:
        """Folder of the run: what an interrupted one goes on from, removed when the package is there."""
        return self.out.with_name(f"{self.out.name}.run")

    def finish(self, say: Callable[[str], None] = lambda _: None) -> "Outcome":
        """Do what is left of it.

        Args:
            say: called with a few words at each step.

        Raises:
            HannerError: a file, an option or the base cannot be used; the sentence says what to do.
        """
        check_out(self.out)
        base = open_base(self.base)
        sentences, dev = self._read()
        types = types_of([*sentences, *dev])
        source = relabel(base.source, labels_for(types, base.source.labels))
        say(_said(base.source, source, len(sentences), len(dev)))
        tuning = Tuning(source, sentences, dev, self.options, self.folder)
        tuned = tuning.finish()
        package = convert(
            replace(tuned, training=self._record(base, source, sentences, tuning)),
            self.out,
            name=self.name or self.out.name,
            calibration=_calibration(sentences),
            verification={self.dev.name if self.dev else "held out": dev} if dev else {},
            scheme=self.scheme,
            force=self.force,
            progress=say,
        )
        shutil.rmtree(self.folder)
        if not dev:
            return Outcome(package)
        before = evaluate(recogniser(base.package).extract, dev) if base.package else measure(base.source, dev)
        return Outcome(package, before, evaluate(recogniser(package).extract, dev))

    def _read(self) -> tuple[list[Sentence], list[Sentence]]:
        if not 0 <= self.hold_out < 1:
            raise HannerError(f"--hold-out must be a share from 0 up to 1, and is {self.hold_out}")
        sentences = read_sentences(self.data)
        if self.dev:
            return sentences, read_sentences(self.dev)
        random.Random(self.options.seed).shuffle(sentences)  # noqa: S311
        count = round(len(sentences) * self.hold_out)
        if self.hold_out and count < _FEWEST:
            raise DataError(
                f"{self.data} has {len(sentences)} sentences, too few to hold some out; give --dev FILE, or "
                "--hold-out 0 to learn from all and measure nothing"
            )
        return sentences[count:], sentences[:count]

    def _record(self, base: Base, source: Source, sentences: Sequence[Sentence], tuning: Tuning) -> dict[str, Any]:
        """Say for the manifest what was tuned, on what and how."""
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
            "options": self.options.record(),
            "history": tuning.history,
        }


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        package: the tuned one.
        before: what the base finds in the sentences that were kept apart, if there were any.
        after: what the package finds in them.
    """

    package: ModelPackage
    before: Evaluation | None = None
    after: Evaluation | None = None

    @property
    def measured(self) -> Mapping[str, Evaluation]:
        """Return the measures by their names."""
        both = {"before": self.before, "after": self.after}
        return {name: result for name, result in both.items() if result is not None}


def _calibration(sentences: Sequence[Sentence]) -> list[str]:
    """Take the ranges of the activations from the data, as far as it goes, and from the built-in sentences."""
    own = [sentence.text for sentence in sentences if sentence.text.strip()]
    built_in = for_calibration()
    stride = max(1, len(own) * 2 // CALIBRATION_TEXTS)
    return [*own[::stride][: CALIBRATION_TEXTS // 2], *built_in][:CALIBRATION_TEXTS]


def _said(base: Source, source: Source, sentences: int, dev: int) -> str:
    """Say what will be learned from what."""

    def types(labels: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(label.partition("-")[2] for label in labels if label != "O"))

    old, new = types(base.labels), types(source.labels)
    parts = [f"{sentences:,} sentences to learn from, {dev:,} to choose by", f"types {', '.join(new)}"]
    parts += [f"new: {', '.join(kind for kind in new if kind not in old)}"] * any(kind not in old for kind in new)
    parts += [f"dropped: {', '.join(kind for kind in old if kind not in new)}"] * any(kind not in new for kind in old)
    return "; ".join(parts)
