"""Turns a trained tagger into a model package: builds the graph, calibrates, quantises, verifies, seals. No torch.

SRC is a folder in the layout of RaNER: config.json (BertConfig with id2label), model.safetensors (`encoder.*`,
`head.linear.*`, `head.crf.*`), tokenizer.json.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from nerq.errors import NerqError
from nerq_models.evaluate import agreement, score
from nerq_models.graph import Float, Linear, Shape, build, parameter_names
from nerq_models.labelled import Sentence
from nerq_models.quantise import WEIGHT_RANGE, StaticInt8, calibrate
from nerq_worker.engine.base import Batch
from nerq_worker.engine.onnx import OnnxEngine
from nerq_worker.pipeline import Recogniser
from nerq_worker.store import Manifest, ModelPackage, TokenizerOptions, open_package, seal
from nerq_worker.text.tokens import TextTokenizer

CALIBRATION_TEXTS = 512
_CRF = ("start_transitions", "end_transitions", "transitions")


class ConversionError(NerqError):
    """The model cannot be converted."""


@dataclass(frozen=True)
class Source:
    """A trained tagger, read."""

    weights: dict[str, NDArray[np.float32]]
    shape: Shape
    labels: tuple[str, ...]
    tokenizer: str
    options: TokenizerOptions
    training: dict[str, Any]


def read_source(folder: Path) -> Source:
    """Read a tagger's folder.

    Raises:
        ConversionError: a file is missing or is not what it should be; the sentence names it.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        state = load_file(folder / "model.safetensors")
        tokenizer = (folder / "tokenizer.json").read_text("utf-8")
        labels = tuple(config["id2label"][str(i)] for i in range(len(config["id2label"])))
        shape = Shape(
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            epsilon=config.get("layer_norm_eps", 1e-12),
            max_length=config["max_position_embeddings"],
        )
    except OSError as error:
        raise ConversionError(f"cannot read {error.filename or folder}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ConversionError(f"{folder} does not hold a tagger that can be read: {error!r}") from None
    weights = {_canonical(name): value.astype(np.float32) for name, value in state.items()}
    _check_names(folder, set(weights), parameter_names(shape) | {f"crf.{part}" for part in _CRF})
    if config.get("hidden_act", "gelu") != "gelu":
        raise ConversionError(
            f"{folder}/config.json: the activation {config['hidden_act']} is not supported, only gelu"
        )
    # A model without these keys was trained on text as it is but for its case, as BERT's own tokenizer leaves it.
    text = config.get("nerq_text", {"lowercase": True, "half_width": False})
    options = TokenizerOptions(**text, max_length=shape.max_length)
    return Source(weights, shape, labels, tokenizer, options, config.get("nerq_training", {}))


def _check_names(folder: Path, found: set[str], needed: set[str]) -> None:
    for names, what in ((needed - found, "lacks"), (found - needed, "has what no BERT tagger has:")):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ConversionError(f"{folder / 'model.safetensors'} {what} {min(names)}{more}")


def _canonical(name: str) -> str:
    return name.removeprefix("head.").removeprefix("encoder.") if not name.startswith("encoder.layer.") else name


def convert(
    source: Source, out: Path, *, name: str, calibration: Sequence[str], verification: Mapping[str, Sequence[Sentence]]
) -> ModelPackage:
    """Write the INT8 package of a tagger.

    Args:
        source: the tagger.
        out: folder to make; it must not exist. It appears complete or not at all.
        name: of the model.
        calibration: real texts that the ranges of the activations are taken from.
        verification: labelled sentences by name; INT8 and FP32 are compared on them, and the figures are kept.

    Raises:
        ConversionError: `out` exists, or there is nothing to calibrate with.
    """
    if out.exists():
        raise ConversionError(f"{out} exists already; remove it or name another folder")
    if not any(calibration):
        raise ConversionError("quantisation needs texts to calibrate with; give some with --calibrate FILE")
    ranges = calibrate(source.weights, source.shape, _batches(source, calibration[:CALIBRATION_TEXTS]))
    quantisation = {
        "scheme": "int8, static scale per activation tensor, symmetric scale per weight column, rows of the embedding",
        "weight_range": WEIGHT_RANGE,
        "calibration_texts": min(len(calibration), CALIBRATION_TEXTS),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        reference = write_package(source, Path(scratch) / "fp32", Float(), Manifest(**_common(source, name)))
        folder = Path(scratch) / "int8"
        manifest = Manifest(**_common(source, name), quantisation=quantisation)
        package = write_package(source, folder, StaticInt8(ranges), manifest)
        figures = verify(package, reference, verification)
        seal(folder, manifest.model_copy(update={"verification": figures}))
        shutil.move(folder, out)
    return open_package(out)


def write_package(source: Source, folder: Path, linear: Linear, manifest: Manifest) -> ModelPackage:
    """Write the files of a package and seal it."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(build(source.weights, source.shape, linear).SerializeToString())
    save_file({part: source.weights[f"crf.{part}"] for part in _CRF}, folder / "crf.safetensors")
    (folder / "tokenizer.json").write_text(source.tokenizer, "utf-8")
    return seal(folder, manifest)


def recogniser(package: ModelPackage) -> Recogniser:
    """Open a package with the default engine."""
    return Recogniser(package, OnnxEngine(package))


def verify(
    one: ModelPackage, reference: ModelPackage, verification: Mapping[str, Sequence[Sentence]]
) -> dict[str, Any]:
    """Compare two packages on labelled sentences: F1 of each, and the share of texts with the same entities."""
    figures: dict[str, Any] = {}
    for name, sentences in verification.items():
        texts = [sentence.text for sentence in sentences]
        answers = {key: recogniser(p).extract(texts) for key, p in (("f1", one), ("fp32_f1", reference))}
        scores = {key: round(score(sentences, answer).total.f1, 5) for key, answer in answers.items()}
        same = round(agreement(*answers.values()), 5)
        figures[name] = {"texts": len(sentences), **scores, "same_entities": same}
    return figures


def _common(source: Source, name: str) -> dict[str, Any]:
    training = dict(source.training)
    return {
        "name": name,
        "source": training.pop("source", "converted"),
        "revision": training.pop("revision", ""),
        "licences": tuple(training.pop("licences", ())),
        "labels": source.labels,
        "tokenizer": source.options,
        "training": training,
    }


def _batches(source: Source, texts: Sequence[str], rows: int = 16) -> Iterator[Batch]:
    """Tokenise texts, cut at the model's length, into padded batches."""
    tokenizer = TextTokenizer(source.tokenizer, source.options)
    for begin in range(0, len(texts), rows):
        windows = [tokenizer.encode(text).ids[: source.shape.max_length - 2] for text in texts[begin : begin + rows]]
        lengths = np.array([len(ids) + 2 for ids in windows], dtype=np.int64)
        input_ids = np.zeros((len(windows), int(lengths.max())), dtype=np.int64)
        for row, ids in enumerate(windows):
            input_ids[row, : len(ids) + 2] = [tokenizer.cls_id, *ids, tokenizer.sep_id]
        yield Batch(input_ids, lengths)
