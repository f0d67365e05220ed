"""Reads what a fine-tune starts from: a package, a training run's folder, or a tagger's folder.

A package gives its weights back as they were rounded to INT8, which costs less than 0.002 of F1.
"""

from dataclasses import dataclass
from pathlib import Path

import onnx
from safetensors.numpy import load

from hanner_inference.package import CRF, MANIFEST, MODEL, TOKENIZER, ModelPackage, open_package
from hanner_models.conversion.graph_reader import UnsupportedGraph, read_weights
from hanner_models.source import ConversionError, Source, read_source
from hanner_models.source.weights import CRF as CRF_PARTS

DEFAULT = "default"
"""Names the bundled package on the command line."""


@dataclass(frozen=True)
class Base:
    """What a fine-tune starts from.

    Attributes:
        source: the tagger.
        name: a package's id, or the name of the folder.
        package: if it was one.
    """

    source: Source
    name: str
    package: ModelPackage | None = None


def open_base(base: str | Path) -> Base:
    """Open a package (`default`: the bundled one), the folder of a training run, or a tagger's folder.

    Raises:
        ModelPackageError: the package is damaged.
        ConversionError: there is nothing that can be tuned; the sentence says what is wrong.
    """
    if str(base) == DEFAULT:
        return _from_package(open_package())
    folder = Path(base)
    if (folder / MANIFEST).exists():
        return _from_package(open_package(folder))
    if (folder / "tagger" / "config.json").exists():
        folder /= "tagger"
    return Base(read_source(folder), folder.resolve().name)


def _from_package(package: ModelPackage) -> Base:
    manifest = package.manifest
    try:
        weights, shape = read_weights(onnx.load_model_from_string(package.read(MODEL)))
    except UnsupportedGraph as error:
        raise ConversionError(
            f"{package.path / MODEL} {error}, so its weights cannot be read; give the folder that it was made from"
        ) from None
    crf = load(package.read(CRF))
    source = Source(
        weights=weights | {f"crf.{part}": crf[part] for part in CRF_PARTS},
        shape=shape,
        labels=manifest.labels,
        tokenizer=package.read(TOKENIZER).decode("utf-8"),
        options=manifest.tokenizer,
        spans=manifest.spans,
        training={
            **manifest.training,
            "source": manifest.source,
            "revision": manifest.revision,
            "licences": manifest.licences,
        },
    )
    return Base(source, package.id, package)
