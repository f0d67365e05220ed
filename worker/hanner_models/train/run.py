"""A training run from a configuration to a tagger in RaNER's layout. An interrupted run can be resumed."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from hanner_inference.tokenization.normalise import normalise
from hanner_models.data.datasets import parse_weighted_path, read_texts
from hanner_models.train import pretrain
from hanner_models.train.config import TrainConfig
from hanner_models.train.initialisation import initialise_neighbour_attention, load_character_vectors
from hanner_models.train.loop import Phase, TrainingLog, default_device, make_optimiser
from hanner_models.train.model import MaskedLanguageModel, build_encoder
from hanner_models.train.tagging import TaggingPhase
from hanner_models.train.vocabulary import build_tokenizer
from hanner_models.train.word_tags import TAG_COUNT


def normalise_text(text: str) -> str:
    """Return the text normalised as by hanner-small's package at inference."""
    return normalise(text, half_width=True, lowercase=True)


@dataclass(frozen=True)
class TrainingRun:
    """A training run.

    Attributes:
        config: of the run.
        data: folder that the configuration's file names are relative to.
        folder: of the run, with tokenizer.json, checkpoints, log.jsonl, and the finished `tagger/`.
    """

    config: TrainConfig
    data: Path
    folder: Path

    def run(self) -> Path:
        """Run or resume all phases and return the folder of the finished tagger."""
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(self.config.seed)
        log = TrainingLog(self.folder / "log.jsonl")
        tokenizer = self.tokenizer()
        encoder = build_encoder(self.config.encoder, tokenizer.get_vocab_size())
        self._initialise(encoder, tokenizer)
        word_tag_count = TAG_COUNT if self.config.pretrain.words else 0
        self._pretrain(MaskedLanguageModel(encoder, word_tag_count), tokenizer, log)
        return TaggingPhase(self.config, self.data, self.folder, tokenizer, log).run(encoder)

    def tokenizer(self) -> Tokenizer:
        """Return the tokenizer; it is built once and read by a resumed run."""
        path = self.folder / "tokenizer.json"
        if not path.exists():
            texts = (normalise_text(text) for text in self._all_texts())
            partial = path.with_suffix(".partial")
            build_tokenizer(texts, known=self._known_characters()).save(str(partial), pretty=False)
            shutil.move(partial, path)
        return Tokenizer.from_file(str(path))

    def _known_characters(self) -> list[str]:
        """Return the characters with pretrained vectors, in the order of the vectors."""
        if self.config.vectors is None:
            return []
        return (self.data / self.config.vectors / "chars.txt").read_text("utf-8").split("\n")

    def _initialise(self, encoder: torch.nn.Module, tokenizer: Tokenizer) -> None:
        """Load character vectors into a new encoder and initialise its first heads."""
        if self.config.vectors is None:
            return
        vectors = np.load(self.data / self.config.vectors / "char_200d.npz")["vectors"]
        width = load_character_vectors(encoder, tokenizer, self._known_characters(), vectors)
        initialise_neighbour_attention(encoder, width)

    def _pretrain(self, model: MaskedLanguageModel, tokenizer: Tokenizer, log: TrainingLog) -> None:
        """Pretrain the encoder inside `model`, in place."""
        part = self.config.pretrain
        model.to(default_device())
        phase = Phase("pretrain", self.folder, model, make_optimiser([(model, part.learning_rate)]), log)
        phase.restore()
        if phase.start >= part.steps:
            return
        streams = [
            pretrain.tokenise(
                tokenizer, (normalise_text(t) for t in read_texts(self.data / name)), weight, with_word_tags=part.words
            )
            for name, weight in map(parse_weighted_path, part.texts)
        ]
        log.write(phase="pretrain", tokens={name: len(s.ids) for name, s in zip(part.texts, streams, strict=True)})

        def loss(number: int) -> torch.Tensor:
            rng = np.random.default_rng((self.config.seed, number))
            arrays = pretrain.sample_batch(streams, part, tokenizer, rng)
            return model.loss(*(torch.from_numpy(array).to(default_device()) for array in arrays))

        phase.run(loss, steps=part.steps, warmup=part.warmup, save_every=self.config.checkpoint_every)

    def _all_texts(self) -> Iterator[str]:
        """Yield the texts for the vocabulary: all texts of pretraining, and a sample of the names."""
        for entry in self.config.pretrain.texts:
            yield from read_texts(self.data / parse_weighted_path(entry)[0])
        rng = random.Random(self.config.seed)  # noqa: S311
        for files in self.config.gazetteers.values():
            for name in files:
                lines = list(read_texts(self.data / name))
                yield from rng.sample(lines, min(len(lines), 20_000))
