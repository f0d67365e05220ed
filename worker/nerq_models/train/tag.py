"""Trains the tagging head and the encoder on labelled sentences, and writes the finished tagger."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from nerq_models.convert import read_source, recogniser, write_package
from nerq_models.evaluate import evaluate
from nerq_models.graph import Float
from nerq_models.labelled import read_names, read_sentences, weighted
from nerq_models.train.config import TrainConfig
from nerq_models.train.examples import LABELS, Corpus, Examples
from nerq_models.train.loop import Average, Log, Phase, device, optimiser
from nerq_models.train.model import Tagger
from nerq_worker.store import Manifest


def train_tagger(
    config: TrainConfig, data: Path, folder: Path, encoder: Any, tokenizer: Tokenizer, log: Log
) -> Path:
    """Train from the pretrained `encoder` and return the folder of the finished tagger."""
    part = config.tag
    encoder.config.hidden_dropout_prob = part.dropout
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = part.dropout
    tagger = Tagger(encoder, len(LABELS), part.dropout).to(device())
    groups = [(tagger.encoder, part.learning_rate)]
    groups += [(head.linear, part.learning_rate) for head in (tagger.head, tagger.auxiliary)]
    groups += [(head.crf, part.crf_learning_rate) for head in (tagger.head, tagger.auxiliary)]
    phase = Phase("tag", folder, tagger, optimiser(groups), log)
    phase.average = Average(tagger, part.average_decay)
    phase.restore()
    examples = _examples(config, data, tokenizer)

    def step(number: int) -> torch.Tensor:
        rows, auxiliary = examples.step(number)
        input_ids, mask, tags = (torch.from_numpy(array).to(device()) for array in rows)
        return tagger.loss(input_ids, mask, tags, auxiliary=auxiliary)

    def every(number: int) -> None:
        if number % part.evaluate_every == 0 and number < part.steps:
            log.write(phase="dev", step=number, **_measure(config, data, folder, tagger, tokenizer, phase.average))

    phase.run(step, steps=part.steps, warmup=part.warmup, save_every=config.checkpoint_every, every=every)
    out = folder / "tagger"
    write_tagger(out, config, tagger, phase.average, tokenizer)
    log.write(phase="dev", step=part.steps, **_measure(config, data, folder, tagger, tokenizer, phase.average))
    return out


def _examples(config: TrainConfig, data: Path, tokenizer: Tokenizer) -> Examples:
    part = config.tag
    corpora = [
        Corpus(read_sentences(data / name), weight, auxiliary)
        for auxiliary, entries in ((False, part.corpora), (True, part.auxiliary))
        for name, weight in map(weighted, entries)
    ]
    names = {kind: [n for file in files for n in read_names(data / file)] for kind, files in config.gazetteers.items()}
    for corpus in corpora:
        for sentence in corpus.sentences:
            for span in sentence.spans:
                # Names of the corpora are as likely as the lists' own: lists lack titles, branches, abbreviations.
                names.setdefault(span.type, []).append(sentence.text[span.start : span.end])
    length = config.encoder.max_length
    return Examples(corpora, names, tokenizer, part, max_length=length, seed=config.seed)


def _measure(
    config: TrainConfig, data: Path, folder: Path, tagger: Tagger, tokenizer: Tokenizer, average: Average | None
) -> dict[str, float]:
    """Return F1 of the averaged weights on each dev file, measured through the runtime itself, in FP32."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        write_tagger(Path(scratch) / "tagger", config, tagger, average, tokenizer)
        source = read_source(Path(scratch) / "tagger")
        manifest = Manifest(
            name=config.name, source="training", revision="", labels=source.labels, tokenizer=source.options
        )
        extract = recogniser(write_package(source, Path(scratch) / "package", Float(), manifest)).extract
        return {
            Path(name).stem: round(evaluate(extract, read_sentences(data / name)).total.f1, 4)
            for name in config.tag.dev
        }


def write_tagger(
    out: Path, config: TrainConfig, tagger: Tagger, average: Average | None, tokenizer: Tokenizer
) -> None:
    """Write config.json, model.safetensors and tokenizer.json in RaNER's layout."""
    out.mkdir(parents=True, exist_ok=True)
    state: Mapping[str, torch.Tensor] = tagger.state_dict() if average is None else average.weights
    kept = {k: v.detach().float().cpu().contiguous() for k, v in state.items() if not k.startswith("auxiliary.")}
    save_file(kept, out / "model.safetensors")
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    described = tagger.encoder.config.to_dict() | {
        "id2label": dict(enumerate(LABELS)),
        "nerq_text": {"lowercase": True, "half_width": True},
        "nerq_training": training_record(config),
    }
    (out / "config.json").write_text(json.dumps(described, ensure_ascii=False, indent=2, default=str), "utf-8")


def training_record(config: TrainConfig) -> dict[str, Any]:
    """Say for the manifest what the model was trained on and how."""
    return {
        "source": "nerq_models.train",
        "revision": f"seed {config.seed}",
        "licences": list(config.licences),
        "config": config.model_dump(mode="json", exclude={"licences"}),
    }
