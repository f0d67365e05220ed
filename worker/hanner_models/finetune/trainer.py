"""The run of a fine-tune: steps, evaluations, the best weights so far, checkpoints. Imports torch."""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from hanner_inference.package import Manifest
from hanner_models.conversion.convert import recogniser, write_package
from hanner_models.conversion.graph import Float
from hanner_models.data.datasets import Sentence
from hanner_models.evaluation.evaluate import Evaluation, evaluate
from hanner_models.finetune.features import RowMaker
from hanner_models.finetune.network import Tuned, to_source
from hanner_models.finetune.options import OptionError, Options
from hanner_models.source import Source
from hanner_models.train import checkpoint
from hanner_models.train.examples import Corpus, Examples, Rows
from hanner_models.train.loop import Average, Log, Phase, device, optimiser

DROPOUT = 0.1
_CRF_RATE = 5e-3
_DECAY = 0.99
"""Of the weights' average: the last hundred steps."""
_SAVE_EVERY = 100
_EVALUATIONS = 10
"""In a whole run."""
_DIGITS = 4
_HISTORY = "history.json"


class _Enough(Exception):  # noqa: N818 - it is no error
    """No better weights are to be expected."""


class TunedExamples(Examples):
    """Examples whose rows are prepared as the package prepares texts."""

    def __init__(self, source: Source, sentences: Sequence[Sentence], options: Options) -> None:
        self._maker = RowMaker(source)
        names: dict[str, list[list[str]]] = {
            kind: [] for kind in dict.fromkeys(label.partition("-")[2] for label in source.labels) if kind
        }
        super().__init__(
            [Corpus(self._maker.usable(sentences), 1.0, auxiliary=False)],
            names,
            Tokenizer.from_str(source.tokenizer),
            options.examples(self._maker.size),
            max_length=source.options.max_length,
            seed=options.seed,
        )

    def rows(self, sentences: Sequence[Sentence]) -> Rows:
        """Tokenise and tag the sentences of a batch."""
        return self._maker.rows(sentences)


@dataclass
class Tuning:
    """One fine-tune.

    Attributes:
        source: the tagger to start from, with the labels to end with.
        sentences: to learn from.
        dev: to choose the weights by; none: the last ones are taken.
        options: how.
        folder: of the run: checkpoints and log.jsonl.
    """

    source: Source
    sentences: Sequence[Sentence]
    dev: Sequence[Sentence]
    options: Options
    folder: Path
    history: list[dict[str, Any]] = field(default_factory=list)

    def finish(self) -> Source:
        """Do what is left of the run and return the tuned tagger in FP32.

        Raises:
            OptionError: the folder holds a run of other data or options.
        """
        self._claim()
        torch.manual_seed(self.options.seed)
        tuned = Tuned(self.source, dropout=DROPOUT, lora=self.options.lora).to(device())
        peak = self.options.peak(len(self.source.weights["embeddings.LayerNorm.bias"]))
        groups = optimiser([(tuned.encoder, peak), (tuned.head.linear, peak), (tuned.head.crf, _CRF_RATE)])
        phase = Phase("finetune", self.folder, tuned, groups, Log(self.folder / "log.jsonl"))
        average = phase.average = Average(tuned, _DECAY)
        phase.restore()
        if (self.folder / _HISTORY).exists():  # what came after the checkpoint comes again
            said = json.loads((self.folder / _HISTORY).read_text("utf-8"))
            self.history = [entry for entry in said if entry["step"] <= phase.start]
        self._run(phase, tuned, average)
        best = checkpoint.load(self._best)
        return self._result(tuned, best["weights"] if best else average.weights)

    def _result(self, tuned: Tuned, weights: Mapping[str, torch.Tensor]) -> Source:
        return blend(self.source, to_source(self.source, tuned, weights), self.options.blend)

    def _run(self, phase: Phase, tuned: Tuned, average: Average) -> None:
        examples = TunedExamples(self.source, self.sentences, self.options)
        steps = self.options.total(examples.epoch_steps())
        period = max(1, steps // _EVALUATIONS)

        def step(number: int) -> torch.Tensor:
            rows, _ = examples.step(number)
            arrays = (rows.input_ids, rows.attention_mask, rows.tags)
            return tuned.loss(*(torch.from_numpy(array).to(device()) for array in arrays))

        def every(number: int) -> None:
            if self.dev and (number % period == 0 or number == steps):
                self._choose(number, self._result(tuned, average.weights), average, phase.log)

        try:
            self._stop_if_enough()
            if phase.start and all(entry["step"] < phase.start for entry in self.history):
                every(phase.start)  # it was interrupted between the checkpoint and its measure
            phase.run(step, steps=steps, warmup=max(1, steps // 10), save_every=min(period, _SAVE_EVERY), every=every)
        except _Enough:
            pass

    def _choose(self, number: int, source: Source, average: Average, log: Log) -> None:
        """Keep these weights if they are the best so far; stop when none were for a while."""
        f1 = round(measure(source, self.dev).total.f1, _DIGITS)
        log.write(phase="dev", step=number, f1=f1)
        self.history.append({"step": number, "f1": f1})
        best = max(self.history, key=lambda entry: entry["f1"])
        if best["step"] == number:
            checkpoint.save(self._best, {"weights": average.weights})
        (self.folder / _HISTORY).write_text(json.dumps(self.history), "utf-8")
        self._stop_if_enough()

    def _stop_if_enough(self) -> None:
        best = max(self.history, key=lambda entry: entry["f1"], default={"f1": 0.0})
        # Nothing found yet is a slow start, as new types have it, and no reason to stop.
        if best["f1"] and sum(entry["step"] > best["step"] for entry in self.history) >= self.options.patience:
            raise _Enough

    @property
    def _best(self) -> Path:
        return self.folder / "best.pt"

    def _claim(self) -> None:
        """Note in the folder what is run there, or check that it is the same as what was begun."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "run.json"
        said = json.dumps({"options": self.options.record(), "of": self._fingerprint()}, indent=2)
        if not path.exists():
            path.write_text(said, "utf-8")
        elif path.read_text("utf-8") != said:
            raise OptionError(
                f"{self.folder} holds an unfinished fine-tune of another base, other data or other options; give those "
                "again, or remove the folder to start anew"
            )

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name in sorted(self.source.weights):
            digest.update(self.source.weights[name].tobytes())
        digest.update(repr((self.source.labels, self.source.options, list(self.sentences), list(self.dev))).encode())
        return digest.hexdigest()


def blend(base: Source, tuned: Source, share: float) -> Source:
    """Return the tagger whose weights lie between two: `share` 1 is the tuned one, 0 the base.

    Between a model and what was tuned from it the loss has no hump, and a point on the way often keeps what the base
    knew and has most of what was learned (Wortsman et al. 2022, WiSE-FT).
    """
    if share == 1:
        return tuned
    part = np.float32(share)
    return replace(tuned, weights={k: value + part * (tuned.weights[k] - value) for k, value in base.weights.items()})


def measure(source: Source, sentences: Sequence[Sentence]) -> Evaluation:
    """Measure a tagger in FP32, through the runtime itself."""
    with tempfile.TemporaryDirectory() as scratch:
        manifest = Manifest(
            name="tagger",
            source="tuning",
            revision="",
            labels=source.labels,
            spans=source.spans,
            tokenizer=source.options,
        )
        package = write_package(source, Path(scratch) / "package", Float(), manifest)
        return evaluate(recogniser(package).extract, sentences)
