"""Open the model that a training starts from: a package, the folder of a training run, or a tagger's folder.

The weights of a package are those rounded to INT8, which costs less than 0.002 of F1.
"""

from dataclasses import dataclass
from pathlib import Path

import onnx
from safetensors.numpy import load

from hanner_inference.package import (
    CRF,
    DEFAULT_MODEL,
    MANIFEST,
    MODEL,
    TOKENIZER,
    ModelPackage,
    bundled_models,
    open_package,
)
from hanner_models.conversion.graph_reader import UnsupportedGraph, read_weights
from hanner_models.source import ConversionError, Source, read_source
from hanner_models.source.weights import CRF as CRF_PARTS

DEFAULT = "default"
"""The name of the default model on the command line."""


@dataclass(frozen=True)
class BaseTagger:
    """The model that a training starts from.

    Attributes:
        source: the tagger.
        name: the package's id, or the name of the folder.
        package: the package, if the model was one.
    """

    source: Source
    name: str
    package: ModelPackage | None = None


def open_base_model(base: str | Path) -> BaseTagger:
    """Return the model to start from.

    Args:
        base: the name of a bundled model, `default` for the default one, or the folder of a package, a training run or
            a tagger.

    Raises:
        ModelPackageError: the package is damaged.
        ConversionError: the folder has no model that can be fine-tuned; the message names the reason.
    """
    name = DEFAULT_MODEL if base == DEFAULT else base
    if name in bundled_models():
        return _from_package(open_package(name))
    folder = Path(base)
    if (folder / MANIFEST).exists():
        return _from_package(open_package(folder))
    if (folder / "tagger" / "config.json").exists():
        folder /= "tagger"
    return BaseTagger(read_source(folder), folder.resolve().name)


def _from_package(package: ModelPackage) -> BaseTagger:
    manifest = package.manifest
    try:
        weights, shape = read_weights(onnx.load_model_from_string(package.read(MODEL)))
    except UnsupportedGraph as error:
        raise ConversionError(
            f"{package.path / MODEL} {error}, so its weights cannot be read; give the folder that it was converted from"
        ) from None
    crf = load(package.read(CRF))
    source = Source(
        weights=weights | {f"crf.{part}": crf[part] for part in CRF_PARTS},
        shape=shape,
        labels=manifest.labels,
        tokenizer=package.read(TOKENIZER).decode("utf-8"),
        options=manifest.tokenizer,
        spans=manifest.spans,
        characters=package.characters(),
        training={
            **manifest.training,
            "source": manifest.source,
            "revision": manifest.revision,
            "licences": manifest.licences,
        },
    )
    return BaseTagger(source, package.id, package)
