"""The training of a fine-tune: steps, evaluations, best weights, checkpoints. Imports torch."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hanner_inference.package import Manifest
from hanner_models.conversion.convert import open_recogniser, write_package
from hanner_models.conversion.graph import Fp32
from hanner_models.data.datasets import Sentence
from hanner_models.evaluation.evaluate import Evaluation, evaluate
from hanner_models.finetune.features import FeatureBuilder, make_features
from hanner_models.finetune.network import FinetuneNetwork, make_network, to_source
from hanner_models.finetune.options import FinetuneOptions
from hanner_models.source import Source
from hanner_models.train import checkpoint
from hanner_models.train.augment import NamePools
from hanner_models.train.examples import Corpus, SentenceSampler
from hanner_models.train.loop import Phase, TrainingLog, WeightAverage, default_device, make_optimiser

DROPOUT = 0.1
_CRF_LEARNING_RATE = 5e-3
_DECAY = 0.99
"""Decay of the weights' moving average: about the last hundred steps."""
_SAVE_EVERY = 100
_EVALUATIONS = 10
"""Number of evaluations in a run."""
_DIGITS = 4
_HISTORY = "history.json"


class _EarlyStop(Exception):  # noqa: N818 - it is not an error
    """Training stops before its last step, because F1 has stopped improving."""


def make_sampler(
    source: Source, features: FeatureBuilder, sentences: Sequence[Sentence], options: FinetuneOptions
) -> SentenceSampler:
    """Return a sampler of the sentences that the features are built from."""
    kinds = dict.fromkeys(label.partition("-")[2] for label in source.labels)
    corpus = Corpus(features.prepare(sentences), 1.0, auxiliary=False)
    config = options.sampling_config(features.max_tokens)
    return SentenceSampler([corpus], NamePools({kind: [] for kind in kinds if kind}), config, seed=options.seed)


@dataclass
class FinetuneTrainer:
    """Trains a tagger.

    Attributes:
        source: the tagger to start from, already with the labels of the data.
        sentences: training data.
        dev: data for choosing the best weights; without it, the last weights are the result.
        options: of the fine-tune.
        folder: of the run, with checkpoints and log.jsonl.
        history: step and F1 of all evaluations.
        progress: called with a short description, ten times in a run.
    """

    source: Source
    sentences: Sequence[Sentence]
    dev: Sequence[Sentence]
    options: FinetuneOptions
    folder: Path
    history: list[dict[str, Any]] = field(default_factory=list)
    progress: Callable[[str], None] = lambda _: None

    def run(self) -> Source:
        """Run or resume the training and return the tuned tagger in FP32.

        Raises:
            CheckpointError: the folder has a run with other data or options.
        """
        self._check_run_folder()
        torch.manual_seed(self.options.seed)
        network = make_network(self.source, dropout=DROPOUT, lora=self.options.lora).to(default_device())
        peak = self.options.peak_learning_rate(len(self.source.weights["embeddings.LayerNorm.bias"]))
        groups: list[tuple[nn.Module, float]] = [(part, peak) for part in (*network.parts(), network.head.linear)]
        optimiser = make_optimiser([*groups, (network.head.crf, _CRF_LEARNING_RATE)])
        phase = Phase("finetune", self.folder, network, optimiser, TrainingLog(self.folder / "log.jsonl"))
        average = phase.average = WeightAverage(network, _DECAY)
        phase.restore()
        if (self.folder / _HISTORY).exists():  # evaluations after the checkpoint will be repeated
            entries = json.loads((self.folder / _HISTORY).read_text("utf-8"))
            self.history = [entry for entry in entries if entry["step"] <= phase.start]
        self._train(phase, network, average)
        best = checkpoint.load(self._best)
        return self._result(network, best["weights"] if best else average.weights)

    def _result(self, network: FinetuneNetwork, weights: Mapping[str, torch.Tensor]) -> Source:
        return blend_weights(self.source, to_source(self.source, network, weights), self.options.blend)

    def _train(self, phase: Phase, network: FinetuneNetwork, average: WeightAverage) -> None:
        features = make_features(self.source)  # tokenises exactly as at inference
        sampler = make_sampler(self.source, features, self.sentences, self.options)
        steps = self.options.total_steps(sampler.steps_per_epoch())
        period = max(1, steps // _EVALUATIONS)

        def loss(number: int) -> torch.Tensor:
            return network.loss([features.build(sampler.sample(number)[0])])

        def evaluate_sometimes(number: int) -> None:
            if number % period and number != steps:
                return
            done = f"step {number:,} of {steps:,}"
            if self.dev:
                f1 = self._evaluate(number, self._result(network, average.weights), average, phase.log)
                done += f", F1 {f1:.3f}"
            self.progress(done)
            self._check_early_stop()

        try:
            self._check_early_stop()
            if phase.start and all(entry["step"] < phase.start for entry in self.history):
                evaluate_sometimes(phase.start)  # the run was interrupted between checkpoint and evaluation
            phase.run(
                loss,
                steps=steps,
                warmup=max(1, steps // 10),
                save_every=min(period, _SAVE_EVERY),
                after_step=evaluate_sometimes,
            )
        except _EarlyStop:
            self.progress("F1 has not improved for a while; the training ends here")

    def _evaluate(self, number: int, source: Source, average: WeightAverage, log: TrainingLog) -> float:
        """Evaluate a tagger, save its weights if they are the best so far, and return its F1."""
        f1 = round(evaluate_fp32(source, self.dev).total.f1, _DIGITS)
        log.write(phase="dev", step=number, f1=f1)
        self.history.append({"step": number, "f1": f1})
        best = max(self.history, key=lambda entry: entry["f1"])
        if best["step"] == number:
            checkpoint.save(self._best, {"weights": average.weights})
        (self.folder / _HISTORY).write_text(json.dumps(self.history), "utf-8")
        return f1

    def _check_early_stop(self) -> None:
        """Raise _EarlyStop if F1 has not improved for `patience` evaluations."""
        best = max(self.history, key=lambda entry: entry["f1"], default={"f1": 0.0})
        # An F1 of 0 is a slow start, which is normal for new types, and not a reason to stop.
        if best["f1"] and sum(entry["step"] > best["step"] for entry in self.history) >= self.options.patience:
            raise _EarlyStop

    @property
    def _best(self) -> Path:
        return self.folder / "best.pt"

    def _check_run_folder(self) -> None:
        """Record options and data in the folder, or check that they are those of the unfinished run there."""
        record = {"options": self.options.to_dict(), "of": self._fingerprint()}
        checkpoint.check_record(self.folder / "run.json", record)

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name in sorted(self.source.weights):
            digest.update(self.source.weights[name].tobytes())
        digest.update(repr((self.source.labels, self.source.options, list(self.sentences), list(self.dev))).encode())
        return digest.hexdigest()


def blend_weights(base: Source, tuned: Source, share: float) -> Source:
    """Return a tagger with interpolated weights: `share` 1 is the tuned one, 0 the base.

    An interpolation often keeps the base's accuracy on its own data and most of the improvement on the new data
    (Wortsman et al. 2022, WiSE-FT).
    """
    if share == 1:
        return tuned
    part = np.float32(share)
    return replace(tuned, weights={k: value + part * (tuned.weights[k] - value) for k, value in base.weights.items()})


def evaluate_fp32(source: Source, sentences: Sequence[Sentence]) -> Evaluation:
    """Return the evaluation of a tagger in FP32, with the same code as at inference."""
    with tempfile.TemporaryDirectory() as scratch:
        manifest = Manifest(
            name="tagger",
            source="tuning",
            revision="",
            labels=source.labels,
            spans=source.spans,
            tokenizer=source.options,
        )
        package = write_package(source, Path(scratch) / "package", Fp32(), manifest)
        return evaluate(open_recogniser(package).extract, sentences)
