"""One training run from a configuration to a tagger in the source layout. Resumes wherever it was interrupted."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from nerq_models.train import pretrain, start
from nerq_models.train.config import TrainConfig
from nerq_models.labelled import read_texts, weighted
from nerq_models.train.loop import Log, Phase, device, optimiser
from nerq_models.train.model import MaskedLanguageModel, build_encoder
from nerq_models.train.vocabulary import build_tokenizer
from nerq_worker.text.normalise import normalise


def normal(text: str) -> str:
    """Normalise as the default model's package does at inference."""
    return normalise(text, half_width=True, lowercase=True)


def train(config: TrainConfig, data: Path, folder: Path) -> Path:
    """Run what is left of a training run and return the folder of the finished tagger.

    Args:
        config: what to train.
        data: folder that the configuration's file names are relative to.
        folder: of the run: tokenizer, checkpoints, log.jsonl, and at last `tagger/`.
    """
    from nerq_models.train.tag import train_tagger  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    log = Log(folder / "log.jsonl")
    tokenizer = prepare_tokenizer(config, data, folder)
    encoder = build_encoder(config.encoder, tokenizer.get_vocab_size())
    start_encoder(encoder, tokenizer, config, data)
    run_pretraining(config, data, folder, MaskedLanguageModel(encoder), tokenizer, log)
    return train_tagger(config, data, folder, encoder, tokenizer, log)


def prepare_tokenizer(config: TrainConfig, data: Path, folder: Path) -> Tokenizer:
    """Build the tokenizer once; a resumed run reads it."""
    path = folder / "tokenizer.json"
    if not path.exists():
        known = known_characters(config, data)
        tokenizer = build_tokenizer((normal(text) for text in _all_texts(config, data)), known=known)
        partial = path.with_suffix(".partial")
        tokenizer.save(str(partial), pretty=False)
        shutil.move(partial, path)
    return Tokenizer.from_file(str(path))


def known_characters(config: TrainConfig, data: Path) -> list[str]:
    """List the characters that have pretrained vectors, in the order of the vectors."""
    if config.vectors is None:
        return []
    return (data / config.vectors / "chars.txt").read_text("utf-8").split("\n")


def start_encoder(encoder: torch.nn.Module, tokenizer: Tokenizer, config: TrainConfig, data: Path) -> None:
    """Give a fresh encoder its head start."""
    if config.vectors is None:
        return
    vectors = np.load(data / config.vectors / "char_200d.npz")["vectors"]
    width = start.take_vectors(encoder, tokenizer, known_characters(config, data), vectors)
    start.look_at_neighbours(encoder, width)


def run_pretraining(
    config: TrainConfig, data: Path, folder: Path, model: MaskedLanguageModel, tokenizer: Tokenizer, log: Log
) -> None:
    """Pretrain the encoder inside `model`, in place."""
    part = config.pretrain
    model.to(device())
    phase = Phase("pretrain", folder, model, optimiser([(model, part.learning_rate)]), log)
    phase.restore()
    if phase.start >= part.steps:
        return
    streams = [
        pretrain.tokenise(tokenizer, (normal(t) for t in read_texts(data / name)), weight)
        for name, weight in map(weighted, part.texts)
    ]
    log.write(phase="pretrain", tokens={name: len(s.ids) for name, s in zip(part.texts, streams, strict=True)})

    def step(number: int) -> torch.Tensor:
        rng = np.random.default_rng((config.seed, number))
        input_ids, targets = pretrain.batch(streams, part, tokenizer, rng)
        return model.loss(torch.from_numpy(input_ids).to(device()), torch.from_numpy(targets).to(device()))

    phase.run(step, steps=part.steps, warmup=part.warmup, save_every=config.checkpoint_every)


def _all_texts(config: TrainConfig, data: Path) -> Iterator[str]:
    """Yield what the vocabulary is counted on: every text of pretraining, names included."""
    for entry in config.pretrain.texts:
        yield from read_texts(data / weighted(entry)[0])
    rng = random.Random(config.seed)  # noqa: S311
    for files in config.gazetteers.values():
        for name in files:
            lines = list(read_texts(data / name))
            yield from rng.sample(lines, min(len(lines), 20_000))
