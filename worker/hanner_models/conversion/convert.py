"""Turns a trained tagger into a model package: builds the graph, calibrates, quantises, verifies, seals.

Needs no torch; where torch and transformers are installed, the package is compared with transformers' own model, and
else with the graph in FP32.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from safetensors.numpy import save

from hanner_inference.engine.base import Engine
from hanner_inference.engine.onnx import OnnxEngine
from hanner_inference.package import Manifest, ModelPackage, open_package, write_manifest
from hanner_inference.pipeline import Recogniser
from hanner_models.conversion.calibration_data import BUILT_IN, batches, for_calibration, for_verification
from hanner_models.conversion.graph import Float, Linear, build
from hanner_models.conversion.quantise import WEIGHT_RANGE, StaticInt8, TokenInt8, calibrate
from hanner_models.conversion.smoothquant import SMOOTHING, Smooth, calibrate_smooth
from hanner_models.conversion.torch_model import TorchReference
from hanner_models.conversion.verify import AGREEMENT, compare, compare_entities
from hanner_models.data.datasets import Sentence
from hanner_models.source import ConversionError, Source, read_source
from hanner_models.source.weights import CRF

__all__ = ["ConversionError", "Source", "check_out", "convert", "read_source", "recogniser", "write_package"]

CALIBRATION_TEXTS = 512
Scheme = Literal["static", "smooth", "token", "auto"]
_WEIGHTS = "symmetric scale per weight column and per row of the embedding"
_SCHEMES = {
    "static": f"int8, static scale per activation tensor, {_WEIGHTS}",
    "smooth": f"int8, outliers smoothed into the weights, static scale per activation tensor, {_WEIGHTS}",
    "token": f"int8, outliers smoothed into the weights, symmetric scale per token, {_WEIGHTS}",
}
"""From the fastest to the closest."""


@dataclass(frozen=True)
class _Candidate:
    """A package on trial: how it was quantised and how it compares."""

    folder: Path
    manifest: Manifest
    figures: dict[str, dict[str, Any]]

    @property
    def agreement(self) -> float:
        return min(float(entry["tag_agreement"]) for entry in self.figures.values())


def convert(  # noqa: PLR0913  each with its default
    source: Source,
    out: Path,
    *,
    name: str,
    calibration: Sequence[str] | None = None,
    verification: Mapping[str, Sequence[Sentence]] | None = None,
    scheme: Scheme = "auto",
    force: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> ModelPackage:
    """Write the INT8 package of a tagger.

    Args:
        source: the tagger.
        out: folder to make; it must not exist. It appears complete or not at all.
        name: of the model.
        calibration: real texts that the ranges of the activations are taken from; built-in sentences by default.
        verification: labelled sentences by name; INT8 and FP32 are compared on them beside the built-in sentences.
        scheme: how activations are scaled; `auto` takes the fastest that agrees with FP32.
        force: write the package even if too few labels are as in FP32.
        progress: called with a few words at each step.

    Raises:
        ConversionError: `out` exists or cannot be written, there is nothing to calibrate with, or INT8 and FP32 do not
            agree. Nothing is left behind.
    """
    check_out(out)
    manifest = _manifest(source, name)
    texts = for_calibration() if calibration is None else list(calibration[:CALIBRATION_TEXTS])
    if not any(text.strip() for text in texts):
        raise ConversionError("quantisation needs texts to calibrate with; give some with --calibrate FILE")
    try:
        with _scratch(out) as scratch:
            work = _Conversion(source, manifest, scratch, progress)
            chosen = work.choose(scheme, texts, verification or {})
            if chosen.agreement < AGREEMENT and not force:
                raise ConversionError(
                    f"INT8 gives only {chosen.agreement:.2%} of the tokens the label that FP32 gives them, and "
                    f"{AGREEMENT:.1%} are asked for; calibrate with texts like yours (--calibrate FILE), or take it as "
                    "it is (--force)"
                )
            write_manifest(chosen.folder, chosen.manifest.model_copy(update={"verification": chosen.figures}))
            shutil.move(chosen.folder, out)
    except OSError as error:
        raise ConversionError(f"cannot write {out}: {error.strerror or error}; nothing was left behind") from error
    return open_package(out)


def check_out(out: Path) -> None:
    """Check that a package can be made in `out`.

    Raises:
        ConversionError: something stands there.
    """
    if out.exists() or out.is_symlink():
        raise ConversionError(f"{out} exists already; remove it or name another folder")


def write_package(source: Source, folder: Path, linear: Linear, manifest: Manifest) -> ModelPackage:
    """Write the files of a package and seal it."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(build(source.weights, source.shape, linear).SerializeToString())
    (folder / "crf.safetensors").write_bytes(save({part: source.weights[f"crf.{part}"] for part in CRF}))
    (folder / "tokenizer.json").write_text(source.tokenizer, "utf-8")
    return write_manifest(folder, manifest)


def recogniser(package: ModelPackage) -> Recogniser:
    """Open a package with the default engine."""
    return Recogniser(package, OnnxEngine(package))


@dataclass(frozen=True)
class _Conversion:
    """One tagger on its way to a package."""

    source: Source
    manifest: Manifest
    scratch: Path
    progress: Callable[[str], None]

    def choose(
        self, scheme: Scheme, texts: Sequence[str], verification: Mapping[str, Sequence[Sentence]]
    ) -> _Candidate:
        """Try schemes until one agrees with FP32; if none does, return the one that agrees best."""
        reference, name = self._reference()
        candidates = []
        for kind in _SCHEMES if scheme == "auto" else (scheme,):
            candidate = self._try(kind, texts, verification, reference, name)
            candidates.append(candidate)
            if candidate.agreement >= AGREEMENT:
                return candidate
        return max(candidates, key=lambda candidate: candidate.agreement)

    def _try(
        self,
        kind: str,
        texts: Sequence[str],
        verification: Mapping[str, Sequence[Sentence]],
        reference: Engine,
        name: str,
    ) -> _Candidate:
        self.progress(f"quantising, {kind} scales")
        quantisation = {
            "scheme": _SCHEMES[kind],
            "weight_range": WEIGHT_RANGE,
            "calibration_texts": len(texts),
        }
        linear = self._linear(kind, texts)
        manifest = self.manifest.model_copy(update={"quantisation": quantisation})
        package = write_package(self.source, self.scratch / kind, linear, manifest)
        engine = OnnxEngine(package)
        self.progress("comparing with FP32")
        difference = compare(self.source, for_verification(), engine, reference)
        figures = {BUILT_IN: {"reference": name, **difference.figures()}}
        for file, sentences in verification.items():
            difference = compare(self.source, [sentence.text for sentence in sentences], engine, reference)
            entities = compare_entities(package, sentences, engine, reference)
            figures[file] = {"reference": name, **difference.figures(), **entities}
        return _Candidate(package.path, manifest, figures)

    def _linear(self, kind: str, texts: Sequence[str]) -> Linear:
        weights, shape = self.source.weights, self.source.shape
        sample = (item.batch for item in batches(self.source, texts))
        if kind == "static":
            return StaticInt8(calibrate(weights, shape, sample))
        found = calibrate_smooth(weights, shape, sample, strength=SMOOTHING[kind])
        return Smooth(TokenInt8() if kind == "token" else StaticInt8(found.ranges), found.factors)

    def _reference(self) -> tuple[Engine, str]:
        self.progress("opening the FP32 model")
        try:
            torch = TorchReference(self.source)
        except ImportError:
            package = write_package(self.source, self.scratch / "fp32", Float(), self.manifest)
            return OnnxEngine(package), "the graph in FP32"
        return torch, torch.name


def _manifest(source: Source, name: str) -> Manifest:
    training = dict(source.training)
    try:
        return Manifest(
            name=name,
            source=training.pop("source", "converted"),
            revision=training.pop("revision", ""),
            licences=tuple(training.pop("licences", ())),
            labels=source.labels,
            spans=source.spans,
            tokenizer=source.options,
            training=training,
        )
    except ValidationError:
        raise ConversionError(
            f"{name!r} cannot name a model; give a name of letters, digits, '.', '_' and '-' with --name"
        ) from None


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """Make a folder beside `out`, and the folders above it; on failure all of them are gone again."""
    made = [folder for folder in out.absolute().parents if not folder.exists()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
            yield Path(scratch)
    except BaseException:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise
