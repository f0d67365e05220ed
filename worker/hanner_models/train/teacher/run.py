"""Stage 2: train the teacher. An interrupted run can be resumed. Imports torch."""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from hanner.results import Entity
from hanner_inference.decoding.crf import Crf
from hanner_inference.decoding.labels import Labels
from hanner_inference.decoding.spans import decode
from hanner_models.conversion.base_model import open_base_model
from hanner_models.data.datasets import Sentence, read_sentences
from hanner_models.evaluation.evaluate import Evaluation, evaluate
from hanner_models.source.teacher import CHARACTERS, CHECKPOINT, CONFIG, ENCODER, LABELS, PIECES, WEIGHTS
from hanner_models.train import checkpoint
from hanner_models.train.config import TeacherConfig
from hanner_models.train.loop import (
    Phase,
    TrainingLog,
    WeightAverage,
    default_device,
    make_optimiser,
    mixed_precision,
)
from hanner_models.train.sampler import make_sampler
from hanner_models.train.teacher.network import PieceTagger, load_tagger, take_weights
from hanner_models.train.teacher.text import PieceBatch, PieceEncoder

_EVALUATED_CHARACTERS = 4096
"""Characters per batch of an evaluation, padding included."""


def parameter_groups(tagger: PieceTagger, config: TeacherConfig) -> Iterator[tuple[Any, float]]:
    """Yield the parts of the network with their peak learning rates; lower layers of the encoder have lower ones."""
    part = config.teach
    rate = part.learning_rate
    for layer in reversed(tagger.encoder.encoder.layer):
        yield layer, rate
        rate *= part.layer_decay
    yield tagger.encoder.embeddings, rate
    for module in (tagger.characters, tagger.places, tagger.norm, tagger.top):
        yield module, part.head_learning_rate
    for head in (tagger.head, tagger.auxiliary):
        yield head.linear, part.head_learning_rate
        yield head.crf, part.crf_learning_rate


def crf_weights(tagger: PieceTagger) -> Crf:
    """Return the CRF of `head`, for decoding."""
    crf = tagger.head.crf
    names = ("start_transitions", "end_transitions", "transitions")
    return Crf(**{name: getattr(crf, name).detach().double().cpu().numpy() for name in names})


@dataclass(frozen=True)
class TeacherRun:
    """A run that trains a teacher.

    Attributes:
        config: of the run.
        data: folder that the configuration's file names are relative to.
        encoder: folder that unpack.py wrote.
        folder: of the run, with checkpoints, log.jsonl, and the finished weights; `convert` reads it.
        start: a model whose weights the run starts with, see `open_base_model`; by default the encoder's and new heads.
    """

    config: TeacherConfig
    data: Path
    encoder: Path
    folder: Path
    start: str | None = None

    def run(self) -> Path:
        """Run or resume the training and return the file of the finished weights.

        Raises:
            ConversionError: `start` is not a model with the network of this run.
        """
        self.prepare_folder()
        part = self.config.teach
        torch.manual_seed(self.config.seed)
        log = TrainingLog(self.folder / "log.jsonl")
        texts = PieceEncoder.open(self.encoder, part.max_length, fold_traditional=part.fold_traditional)
        tagger = load_tagger(self.encoder, part.dropout, part.layers, part.activation)
        if self.start and not (self.folder / CHECKPOINT).exists():
            take_weights(tagger, open_base_model(self.start).source, self.encoder)
        tagger = tagger.to(default_device())
        phase = Phase("teacher", self.folder, tagger, make_optimiser(parameter_groups(tagger, self.config)), log)
        average = phase.average = WeightAverage(tagger, part.average_decay)
        phase.restore()
        sampler = make_sampler(part, self.config.gazetteers, self.data, self.config.seed)
        dev = {Path(name).stem: read_sentences(self.data / name) for name in part.dev}

        def loss(number: int) -> torch.Tensor:
            sentences, auxiliary = sampler.sample(number)
            batch = texts.encode(sentences)
            return tagger.loss(*_tensors(batch), auxiliary=auxiliary)

        def evaluate_sometimes(number: int) -> None:
            last = number == part.steps
            if last or number % part.evaluate_every == 0:
                started = time.monotonic()
                limit = None if last else part.dev_limit
                figures = self._evaluate(tagger, average, texts, {k: v[:limit] for k, v in dev.items()})
                log.write(phase="dev", step=number, seconds=round(time.monotonic() - started), **figures)

        phase.run(
            loss,
            steps=part.steps,
            warmup=part.warmup,
            save_every=self.config.checkpoint_every,
            after_step=evaluate_sometimes,
        )
        return write_teacher(self.folder, self._blend(average.weights))

    def _blend(self, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the mean of trained weights and those of the start, which is often better than both (WiSE-FT)."""
        part = self.config.teach
        if not self.start or part.blend == 1.0:
            return weights
        tagger = load_tagger(self.encoder, part.dropout, part.layers, part.activation)
        take_weights(tagger, open_base_model(self.start).source, self.encoder)
        return {
            name: value.cpu().lerp(weights[name].cpu(), part.blend) if value.is_floating_point() else value
            for name, value in tagger.state_dict().items()
        }

    def prepare_folder(self) -> None:
        """Write the configuration and the encoder's vocabulary into the run's folder, so that it can be converted."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (ENCODER, PIECES, CHARACTERS):
            shutil.copyfile(self.encoder / name, self.folder / name)
        checkpoint.check_record(self.folder / "run.json", {"start": self.start or "the encoder"})
        config = self.config.model_dump(mode="json") | {"start": self.start}
        (self.folder / CONFIG).write_text(json.dumps(config, ensure_ascii=False), "utf-8")

    def _evaluate(
        self, tagger: PieceTagger, average: WeightAverage, texts: PieceEncoder, dev: dict[str, list[Sentence]]
    ) -> dict[str, float]:
        """Return the F1 of the averaged weights on each dev file."""
        current = {name: value.clone() for name, value in tagger.state_dict().items()}
        tagger.load_state_dict(average.weights)
        results = {name: evaluate_teacher(tagger, texts, sentences) for name, sentences in dev.items()}
        tagger.load_state_dict(current)
        return {name: round(result.total.f1, 4) for name, result in results.items()}


def evaluate_teacher(tagger: PieceTagger, texts: PieceEncoder, sentences: Sequence[Sentence]) -> Evaluation:
    """Return the comparison of the teacher's entities with labelled sentences; rows are truncated as in training."""
    order = sorted(range(len(sentences)), key=lambda index: len(sentences[index].text))
    ordered = [sentences[index] for index in order if sentences[index].text]
    longest = max((len(sentence.text) for sentence in ordered), default=1)
    rows = max(1, _EVALUATED_CHARACTERS // min(longest, texts.max_length))
    spans = {s.text: s for s in ordered}

    def extract(found: Sequence[str]) -> list[list[Entity]]:
        return predict(tagger, texts, [spans[text] for text in found])

    return evaluate(extract, ordered, batch_size=rows)


def predict(tagger: PieceTagger, texts: PieceEncoder, sentences: Sequence[Sentence]) -> list[list[Entity]]:
    """Return the entities of each sentence by the weights that the tagger has now."""
    tagger.eval()
    batch = texts.encode(sentences)
    with torch.no_grad(), mixed_precision():
        scores = tagger(*_tensors(batch)[:-1]).cpu().numpy()
    spans = decode(scores, batch.lengths, crf_weights(tagger), Labels(LABELS))
    tagger.train()
    return [
        [Entity(text=s.text[p.start : p.end], type=p.type, start=p.start, end=p.end, score=p.score) for p in row]
        for s, row in zip(sentences, spans, strict=True)
    ]


def write_teacher(folder: Path, weights: dict[str, torch.Tensor]) -> Path:
    """Write the weights of a finished teacher and return their file."""
    path = folder / WEIGHTS
    save_file({name: value.detach().float().cpu().contiguous() for name, value in weights.items()}, path)
    return path


def _tensors(batch: PieceBatch) -> list[torch.Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(array)).to(default_device()) for array in batch]
