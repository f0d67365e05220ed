"""Train the encoder and its tagging head on labelled sentences, and write the finished tagger. Imports torch."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from hanner_inference.package import Manifest
from hanner_models.conversion.convert import open_recogniser, write_package
from hanner_models.conversion.graph import Fp32
from hanner_models.data.datasets import read_sentences
from hanner_models.evaluation.evaluate import evaluate
from hanner_models.source import read_source
from hanner_models.train.config import TrainConfig
from hanner_models.train.examples import LABELS, encode
from hanner_models.train.loop import Phase, TrainingLog, WeightAverage, default_device, make_optimiser
from hanner_models.train.model import Tagger
from hanner_models.train.sampler import make_sampler
from hanner_models.train.word_tags import TAG_COUNT

_DROPPED = ("auxiliary.", "word_head.")
"""Prefixes of the heads that are used only in training."""


@dataclass(frozen=True)
class TaggingPhase:
    """The second phase of a run: from the pretrained encoder to a tagger.

    Attributes:
        config: of the run.
        data: folder that the configuration's file names are relative to.
        folder: of the run.
        tokenizer: of the run.
        log: of the run.
    """

    config: TrainConfig
    data: Path
    folder: Path
    tokenizer: Tokenizer
    log: TrainingLog

    def run(self, encoder: Any) -> Path:
        """Train the pretrained `encoder` and return the folder of the finished tagger."""
        part = self.config.tag
        _set_dropout(encoder, part.dropout)
        if self.config.encoder.bigram_rows:
            encoder.embeddings.bigrams.token_dropout = part.bigrams_hidden
        word_tag_count = TAG_COUNT if part.words else 0
        tagger = Tagger(
            encoder, len(LABELS), part.dropout, word_tag_count=word_tag_count, word_loss_weight=part.words
        ).to(default_device())
        groups = [(tagger.encoder, part.learning_rate)]
        groups += [(head.linear, part.learning_rate) for head in (tagger.head, tagger.auxiliary)]
        groups += [(head.crf, part.crf_learning_rate) for head in (tagger.head, tagger.auxiliary)]
        if tagger.word_head is not None:
            groups.append((tagger.word_head, part.learning_rate))
        phase = Phase("tag", self.folder, tagger, make_optimiser(groups), self.log)
        average = phase.average = WeightAverage(tagger, part.average_decay)
        phase.restore()
        sampler = make_sampler(part, self.config.gazetteers, self.data, self.config.seed)
        length = self.config.encoder.max_length

        def loss(number: int) -> torch.Tensor:
            sentences, auxiliary = sampler.sample(number)
            batch = encode(self.tokenizer, sentences, max_length=length, with_word_tags=part.words > 0)
            tensors = (torch.from_numpy(array).to(default_device()) for array in batch)
            return tagger.loss(*tensors, auxiliary=auxiliary)

        def evaluate_sometimes(number: int) -> None:
            if number % part.evaluate_every == 0 or number == part.steps:
                self.log.write(phase="dev", step=number, **self._evaluate(tagger, average))

        phase.run(
            loss,
            steps=part.steps,
            warmup=part.warmup,
            save_every=self.config.checkpoint_every,
            after_step=evaluate_sometimes,
        )
        out = self.folder / "tagger"
        self.write_tagger(out, tagger, average.weights)
        return out

    def write_tagger(self, out: Path, tagger: Tagger, weights: Mapping[str, torch.Tensor]) -> None:
        """Write config.json, model.safetensors and tokenizer.json in RaNER's layout.

        Args:
            out: folder to write.
            tagger: the tagger, for its configuration.
            weights: its parameters, or their average.
        """
        out.mkdir(parents=True, exist_ok=True)
        kept = {k: v.detach().float().cpu().contiguous() for k, v in weights.items() if not k.startswith(_DROPPED)}
        save_file(kept, out / "model.safetensors")
        self.tokenizer.save(str(out / "tokenizer.json"), pretty=False)
        config = tagger.encoder.config.to_dict() | {
            "id2label": dict(enumerate(LABELS)),
            "hanner_text": {"lowercase": True, "half_width": True},
            "hanner_training": training_metadata(self.config),
        }
        (out / "config.json").write_text(json.dumps(config, ensure_ascii=False, indent=2, default=str), "utf-8")

    def _evaluate(self, tagger: Tagger, average: WeightAverage) -> dict[str, float]:
        """Return the F1 of the averaged weights on each dev file, in FP32, with the same code as at inference."""
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            self.write_tagger(Path(scratch) / "tagger", tagger, average.weights)
            source = read_source(Path(scratch) / "tagger")
            manifest = Manifest(
                name=self.config.name, source="training", revision="", labels=source.labels, tokenizer=source.options
            )
            extract = open_recogniser(write_package(source, Path(scratch) / "package", Fp32(), manifest)).extract
            return {
                Path(name).stem: round(evaluate(extract, read_sentences(self.data / name)).total.f1, 4)
                for name in self.config.tag.dev
            }


def training_metadata(config: TrainConfig) -> dict[str, Any]:
    """Return the training data, configuration and licences for the manifest."""
    return {
        "source": "hanner_models.train",
        "revision": f"seed {config.seed}",
        "licences": list(config.licences),
        "config": config.model_dump(mode="json", exclude={"licences"}),
    }


def _set_dropout(encoder: Any, share: float) -> None:
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share
