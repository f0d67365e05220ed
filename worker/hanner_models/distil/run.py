"""A distillation, from texts to a verified INT8 package: label, train, quantise. It can be resumed. Imports torch."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hanner_inference.package import ModelPackage
from hanner_models.conversion.base_model import BaseTagger, open_base_model
from hanner_models.conversion.convert import Scheme, check_output, convert
from hanner_models.data.datasets import Sentence, parse_weighted_path, read_sentences, read_texts, sample_texts
from hanner_models.distil.teacher import Teacher
from hanner_models.finetune.features import FeatureBuilder, make_features
from hanner_models.finetune.labels import relabel, target_labels
from hanner_models.finetune.network import FinetuneNetwork, make_network, to_source
from hanner_models.finetune.trainer import evaluate_fp32
from hanner_models.source import ConversionError, Source
from hanner_models.train import checkpoint
from hanner_models.train.config import DistilRunConfig
from hanner_models.train.examples import Corpus, SentenceSampler
from hanner_models.train.loop import Phase, TrainingLog, WeightAverage, default_device, make_optimiser
from hanner_models.train.sampler import make_sampler

_CALIBRATION_TEXTS = 512
_LABELLED = "labelled"
"""Folder of the run with the teacher's labels of unlabelled texts."""
_BLOCK = 64
"""Texts that are labelled at once."""


@dataclass(frozen=True)
class DistilRun:
    """A distillation.

    Attributes:
        config: of the run.
        data: folder that the configuration's file names are relative to.
        teacher: package of the teacher.
        student: the model to start from, see `open_base_model`.
        out: folder of the package to create.
        name: of the model.
        calibrate: file of texts to calibrate INT8 with.
        verify: files of labelled sentences to compare INT8 with FP32 on.
        scheme: of quantisation, see `convert`.
        fold_traditional: whether the student replaces traditional characters by simplified ones.
        force: write the package even if INT8 differs too much from FP32.
        progress: called with a short description of each step.
    """

    config: DistilRunConfig
    data: Path
    teacher: ModelPackage
    student: str
    out: Path
    name: str
    calibrate: Path | None = None
    verify: Sequence[Path] = ()
    scheme: Scheme = "auto"
    fold_traditional: bool = False
    force: bool = False
    progress: Callable[[str], None] = field(default=lambda _: None)

    @property
    def folder(self) -> Path:
        """Folder of the run with labels, checkpoints and log.jsonl. Remove it when the package is as wanted."""
        return self.out.with_name(f"{self.out.name}.run")

    def run(self) -> ModelPackage:
        """Run or resume the distillation.

        Raises:
            HannerError: a file, the configuration or a model cannot be used; the message has the next step.
        """
        check_output(self.out)
        base = open_base_model(self.student)
        teacher = Teacher(self.teacher)
        source = relabel(base.source, target_labels(teacher.types, base.source.labels))
        if self.fold_traditional:
            source = replace(source, options=source.options.model_copy(update={"fold_traditional": True}))
        self._check_folder(base, teacher)
        tuned = self._train(source, teacher)
        return convert(
            replace(tuned, training=self._metadata(base, source)),
            self.out,
            name=self.name,
            calibration=sample_texts(self.calibrate, _CALIBRATION_TEXTS) if self.calibrate else None,
            verification={path.name: read_sentences(path) for path in self.verify},
            scheme=self.scheme,
            force=self.force,
            progress=self.progress,
        )

    def _check_folder(self, base: BaseTagger, teacher: Teacher) -> None:
        config = self.config.model_dump(mode="json")
        config["distil"].pop("dev_limit")
        checkpoint.check_record(
            self.folder / "run.json", {"teacher": teacher.name, "student": base.name, "config": config}
        )

    def _train(self, source: Source, teacher: Teacher) -> Source:
        part = self.config.distil
        torch.manual_seed(self.config.seed)
        features = make_features(source)
        sampler = self._sampler(features, teacher)
        network = make_network(source, dropout=part.dropout, lora=False).to(default_device())
        groups: list[tuple[nn.Module, float]] = [
            (module, part.learning_rate) for module in (*network.parts(), network.head.linear)
        ]
        optimiser = make_optimiser([*groups, (network.head.crf, part.crf_learning_rate)])
        phase = Phase("distil", self.folder, network, optimiser, TrainingLog(self.folder / "log.jsonl"))
        average = phase.average = WeightAverage(network, part.average_decay)
        phase.restore()
        dev = {Path(name).stem: read_sentences(self.data / name)[: part.dev_limit] for name in part.dev}

        def loss(number: int) -> torch.Tensor:
            return self._loss(number, network, sampler, features, teacher)

        def evaluate_sometimes(number: int) -> None:
            if number % part.evaluate_every and number != part.steps:
                return
            current = to_source(source, network, average.weights)
            f1 = {name: round(evaluate_fp32(current, sentences).total.f1, 4) for name, sentences in dev.items()}
            phase.log.write(phase="dev", step=number, **f1)
            self.progress(f"step {number:,}: F1 " + ", ".join(f"{value:.3f} on {name}" for name, value in f1.items()))

        phase.run(
            loss,
            steps=part.steps,
            warmup=part.warmup,
            save_every=self.config.checkpoint_every,
            after_step=evaluate_sometimes,
        )
        return to_source(source, network, average.weights)

    def _loss(
        self,
        number: int,
        network: FinetuneNetwork,
        sampler: SentenceSampler,
        features: FeatureBuilder,
        teacher: Teacher,
    ) -> torch.Tensor:
        """Return the loss of one batch: of its own labels, if it has some, and of labellings by the teacher."""
        part = self.config.distil
        sentences, unlabelled = sampler.sample(number)
        rng = np.random.default_rng((self.config.seed, number))
        labellings = teacher.draw([sentence.text for sentence in sentences], part.draws, rng)
        gold = 0.0 if unlabelled else part.gold_share
        weights = [(1 - gold) / part.draws] * part.draws
        if gold:
            labellings.append(sentences)
            weights.append(gold)
        return network.loss([features.build(labelling) for labelling in labellings], weights)

    def _sampler(self, features: FeatureBuilder, teacher: Teacher) -> SentenceSampler:
        """Return the sampler; its auxiliary corpora are the unlabelled texts, with the teacher's labels."""
        unlabelled = [
            Corpus(self._label(name, features, teacher), weight, auxiliary=True)
            for name, weight in map(parse_weighted_path, self.config.distil.unlabelled)
        ]
        return make_sampler(self.config.distil, self.config.gazetteers, self.data, self.config.seed, more=unlabelled)

    def _label(self, name: str, features: FeatureBuilder, teacher: Teacher) -> list[Sentence]:
        """Return the texts of a file in rows of the student, labelled by the teacher; they are labelled once.

        Names can be replaced by others because of these labels. Those that the student learns are drawn again later.
        """
        path = self.folder / _LABELLED / f"{name.replace('/', '-')}.jsonl"
        if not path.exists():
            self.progress(f"labelling {name}")
            texts = [Sentence(text, ()) for text in read_texts(self.data / name) if text.strip()]
            _write_sentences(path, _labelled(features.prepare(texts), teacher))
        return read_sentences(path)

    def _metadata(self, base: BaseTagger, source: Source) -> dict[str, Any]:
        """Return teacher, student and configuration for the manifest."""
        licences = self.config.licences or base.source.training.get("licences", ())
        return {
            "source": "hanner_models.distil",
            "revision": f"seed {self.config.seed}",
            "licences": list(licences),
            "teacher": self.teacher.id,
            "student": base.name,
            "labels": list(source.labels),
            "config": self.config.model_dump(mode="json", exclude={"licences"}),
        }


def open_teacher(name: str) -> ModelPackage:
    """Return the package of a teacher: a bundled model's name, `default`, or the folder of a package.

    Raises:
        ModelPackageError: the package is damaged.
        ConversionError: the folder is not a package.
    """
    package = open_base_model(name).package
    if package is None:
        raise ConversionError(f"{name} is not a package; convert it first: hanner model convert {name} OUT")
    return package


def _labelled(sentences: Sequence[Sentence], teacher: Teacher) -> Iterator[Sentence]:
    rng = np.random.default_rng(0)
    ordered = sorted(range(len(sentences)), key=lambda index: len(sentences[index].text))
    found = list(sentences)
    for begin in range(0, len(ordered), _BLOCK):
        block = ordered[begin : begin + _BLOCK]
        (labelling,) = teacher.draw([sentences[index].text for index in block], 1, rng)
        for index, sentence in zip(block, labelling, strict=True):
            found[index] = sentence
    yield from found


def _write_sentences(path: Path, sentences: Iterator[Sentence]) -> None:
    """Write labelled sentences atomically as JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        for sentence in sentences:
            entities = [{"type": span.type, "start": span.start, "end": span.end} for span in sentence.spans]
            file.write(json.dumps({"text": sentence.text, "entities": entities}, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
