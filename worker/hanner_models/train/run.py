"""One training run from a configuration to a tagger in RaNER's layout. Resumes wherever it was interrupted."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from hanner_inference.tokenization.normalise import normalise
from hanner_models.data.datasets import read_texts, weighted
from hanner_models.train import initialisation as start
from hanner_models.train import pretrain
from hanner_models.train import word_tags as words
from hanner_models.train.config import TrainConfig
from hanner_models.train.loop import Log, Phase, device, optimiser
from hanner_models.train.model import MaskedLanguageModel, build_encoder
from hanner_models.train.tagging import Tagging
from hanner_models.train.vocabulary import build_tokenizer


def normal(text: str) -> str:
    """Normalise as the default model's package does at inference."""
    return normalise(text, half_width=True, lowercase=True)


@dataclass(frozen=True)
class Run:
    """A training run.

    Attributes:
        config: what to train.
        data: folder that the configuration's file names are relative to.
        folder: of the run: tokenizer.json, checkpoints, log.jsonl, and at last `tagger/`.
    """

    config: TrainConfig
    data: Path
    folder: Path

    def finish(self) -> Path:
        """Do what is left of the run and return the folder of the finished tagger."""
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(self.config.seed)
        log = Log(self.folder / "log.jsonl")
        tokenizer = self.tokenizer()
        encoder = build_encoder(self.config.encoder, tokenizer.get_vocab_size())
        self._start(encoder, tokenizer)
        word_tags = words.TAGS if self.config.pretrain.words else 0
        self._pretrain(MaskedLanguageModel(encoder, word_tags), tokenizer, log)
        return Tagging(self.config, self.data, self.folder, tokenizer, log).train(encoder)

    def tokenizer(self) -> Tokenizer:
        """Build the tokenizer once; a resumed run reads it."""
        path = self.folder / "tokenizer.json"
        if not path.exists():
            texts = (normal(text) for text in self._all_texts())
            partial = path.with_suffix(".partial")
            build_tokenizer(texts, known=self._known_characters()).save(str(partial), pretty=False)
            shutil.move(partial, path)
        return Tokenizer.from_file(str(path))

    def _known_characters(self) -> list[str]:
        """List the characters that have pretrained vectors, in the order of the vectors."""
        if self.config.vectors is None:
            return []
        return (self.data / self.config.vectors / "chars.txt").read_text("utf-8").split("\n")

    def _start(self, encoder: torch.nn.Module, tokenizer: Tokenizer) -> None:
        """Give a fresh encoder its head start."""
        if self.config.vectors is None:
            return
        vectors = np.load(self.data / self.config.vectors / "char_200d.npz")["vectors"]
        width = start.take_vectors(encoder, tokenizer, self._known_characters(), vectors)
        start.look_at_neighbours(encoder, width)

    def _pretrain(self, model: MaskedLanguageModel, tokenizer: Tokenizer, log: Log) -> None:
        """Pretrain the encoder inside `model`, in place."""
        part = self.config.pretrain
        model.to(device())
        phase = Phase("pretrain", self.folder, model, optimiser([(model, part.learning_rate)]), log)
        phase.restore()
        if phase.start >= part.steps:
            return
        streams = [
            pretrain.tokenise(
                tokenizer, (normal(t) for t in read_texts(self.data / name)), weight, with_words=part.words
            )
            for name, weight in map(weighted, part.texts)
        ]
        log.write(phase="pretrain", tokens={name: len(s.ids) for name, s in zip(part.texts, streams, strict=True)})

        def step(number: int) -> torch.Tensor:
            rng = np.random.default_rng((self.config.seed, number))
            arrays = pretrain.batch(streams, part, tokenizer, rng)
            return model.loss(*(torch.from_numpy(array).to(device()) for array in arrays))

        phase.run(step, steps=part.steps, warmup=part.warmup, save_every=self.config.checkpoint_every)

    def _all_texts(self) -> Iterator[str]:
        """Yield what the vocabulary is counted on: every text of pretraining, and some of the names."""
        for entry in self.config.pretrain.texts:
            yield from read_texts(self.data / weighted(entry)[0])
        rng = random.Random(self.config.seed)  # noqa: S311
        for files in self.config.gazetteers.values():
            for name in files:
                lines = list(read_texts(self.data / name))
                yield from rng.sample(lines, min(len(lines), 20_000))
