"""Trains the tagging head and the encoder on labelled sentences, and writes the finished tagger."""

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
from hanner_models.conversion.convert import read_source, recogniser, write_package
from hanner_models.conversion.graph import Float
from hanner_models.data.datasets import read_names, read_sentences, weighted
from hanner_models.evaluation.evaluate import evaluate
from hanner_models.train import word_tags as words
from hanner_models.train.config import TrainConfig
from hanner_models.train.examples import LABELS, Corpus, Examples
from hanner_models.train.loop import Average, Log, Phase, device, optimiser
from hanner_models.train.model import Tagger

_DROPPED = ("auxiliary.", "words.")
"""Heads that only teach the encoder."""
KNOWN = Path(__file__).parent / "names"
"""Names that everyone knows, by type, the best known first: what newcomers try, and the corpora are too old for."""


@dataclass(frozen=True)
class Tagging:
    """The second phase of a run: from the pretrained encoder to a tagger.

    Attributes:
        config: what to train.
        data: folder that the configuration's file names are relative to.
        folder: of the run.
        tokenizer: of the run.
        log: of the run.
    """

    config: TrainConfig
    data: Path
    folder: Path
    tokenizer: Tokenizer
    log: Log

    def train(self, encoder: Any) -> Path:
        """Train from the pretrained `encoder` and return the folder of the finished tagger."""
        part = self.config.tag
        _set_dropout(encoder, part.dropout)
        if self.config.encoder.bigram_rows:
            encoder.embeddings.bigrams.hidden_share = part.bigrams_hidden
        word_tags = words.TAGS if part.words else 0
        tagger = Tagger(encoder, len(LABELS), part.dropout, word_tags=word_tags, word_share=part.words).to(device())
        groups = [(tagger.encoder, part.learning_rate)]
        groups += [(head.linear, part.learning_rate) for head in (tagger.head, tagger.auxiliary)]
        groups += [(head.crf, part.crf_learning_rate) for head in (tagger.head, tagger.auxiliary)]
        if tagger.words is not None:
            groups.append((tagger.words, part.learning_rate))
        phase = Phase("tag", self.folder, tagger, optimiser(groups), self.log)
        average = phase.average = Average(tagger, part.average_decay)
        phase.restore()
        examples = self._examples()

        def step(number: int) -> torch.Tensor:
            rows, auxiliary = examples.step(number)
            tensors = (torch.from_numpy(array).to(device()) for array in rows)
            return tagger.loss(*tensors, auxiliary=auxiliary)

        def every(number: int) -> None:
            if number % part.evaluate_every == 0 or number == part.steps:
                self.log.write(phase="dev", step=number, **self._measure(tagger, average))

        phase.run(step, steps=part.steps, warmup=part.warmup, save_every=self.config.checkpoint_every, every=every)
        out = self.folder / "tagger"
        self.write(out, tagger, average.weights)
        return out

    def write(self, out: Path, tagger: Tagger, weights: Mapping[str, torch.Tensor]) -> None:
        """Write config.json, model.safetensors and tokenizer.json in RaNER's layout.

        Args:
            out: folder.
            tagger: whose shape it is.
            weights: its parameters, or their average.
        """
        out.mkdir(parents=True, exist_ok=True)
        kept = {k: v.detach().float().cpu().contiguous() for k, v in weights.items() if not k.startswith(_DROPPED)}
        save_file(kept, out / "model.safetensors")
        self.tokenizer.save(str(out / "tokenizer.json"), pretty=False)
        described = tagger.encoder.config.to_dict() | {
            "id2label": dict(enumerate(LABELS)),
            "hanner_text": {"lowercase": True, "half_width": True},
            "hanner_training": training_record(self.config),
        }
        (out / "config.json").write_text(json.dumps(described, ensure_ascii=False, indent=2, default=str), "utf-8")

    def _examples(self) -> Examples:
        part, data = self.config.tag, self.data
        corpora = [
            Corpus(read_sentences(data / name), weight, auxiliary)
            for auxiliary, entries in ((False, part.corpora), (True, part.auxiliary))
            for name, weight in map(weighted, entries)
        ]
        names = {
            kind: [
                by_rank(read_names(KNOWN / f"{kind}.txt")),
                [name for file in files for name in read_names(data / file)],
            ]
            for kind, files in self.config.gazetteers.items()
        }
        length = self.config.encoder.max_length
        return Examples(corpora, names, self.tokenizer, part, max_length=length, seed=self.config.seed)

    def _measure(self, tagger: Tagger, average: Average) -> dict[str, float]:
        """Return F1 of the averaged weights on each dev file, measured through the runtime itself, in FP32."""
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            self.write(Path(scratch) / "tagger", tagger, average.weights)
            source = read_source(Path(scratch) / "tagger")
            manifest = Manifest(
                name=self.config.name, source="training", revision="", labels=source.labels, tokenizer=source.options
            )
            extract = recogniser(write_package(source, Path(scratch) / "package", Float(), manifest)).extract
            return {
                Path(name).stem: round(evaluate(extract, read_sentences(self.data / name)).total.f1, 4)
                for name in self.config.tag.dev
            }


def training_record(config: TrainConfig) -> dict[str, Any]:
    """Say for the manifest what the model was trained on and how."""
    return {
        "source": "hanner_models.train",
        "revision": f"seed {config.seed}",
        "licences": list(config.licences),
        "config": config.model_dump(mode="json", exclude={"licences"}),
    }


def by_rank(names: list[str], first: int = 30) -> list[str]:
    """Repeat names by their rank, the first `first` times, the n-th an n-th of that: fame falls off so (Zipf)."""
    return [name for rank, name in enumerate(names, start=1) for _ in range(max(1, first // rank))]


def _set_dropout(encoder: Any, share: float) -> None:
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share
