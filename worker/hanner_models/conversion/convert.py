"""Convert a trained tagger to a model package: build the graph, calibrate, quantise, verify, write the manifest.

torch is optional: where torch and transformers are installed, the package is compared with transformers' own model,
otherwise with the graph in FP32.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from pydantic import ValidationError
from safetensors.numpy import save

from hanner_inference.engine.base import Engine
from hanner_inference.engine.onnx import OnnxEngine
from hanner_inference.package import CHARACTERS, MODEL, TOKENIZER, Manifest, ModelPackage, open_package, write_manifest
from hanner_inference.package import CRF as CRF_FILE
from hanner_inference.pipeline import Recogniser
from hanner_models.conversion.calibration_data import BUILT_IN, calibration_texts, make_batches, verification_texts
from hanner_models.conversion.graph import Fp32, Linear, build
from hanner_models.conversion.quantise import WEIGHT_RANGE, Calibration, StaticInt8, TokenInt8, calibrate
from hanner_models.conversion.smoothquant import MIGRATION_STRENGTHS, SmoothQuant, smooth
from hanner_models.conversion.verify import (
    MIN_AGREEMENT,
    RememberedEngine,
    agreement_problem,
    compare,
    compare_entities,
    pooled_agreement,
)
from hanner_models.conversion.wordpieces import drop_unreachable_pieces
from hanner_models.data.datasets import Sentence
from hanner_models.source import ConversionError, Source
from hanner_models.source.weights import CRF

if TYPE_CHECKING:
    from hanner_models.conversion.torch_model import TorchReference

MAX_CALIBRATION_TEXTS = 512
Scheme = Literal["static", "smooth", "token", "auto"]
_WEIGHTS = "symmetric scale per weight column and per row of the embedding, errors of weights compensated"
_SCHEMES = {
    "static": f"int8, static scale per activation tensor, {_WEIGHTS}",
    "smooth": f"int8, outliers smoothed into the weights, static scale per activation tensor, {_WEIGHTS}",
    "token": f"int8, outliers smoothed into the weights, symmetric scale per token, {_WEIGHTS}",
}
"""The manifest's description of each scheme, from the fastest to the most accurate."""


@dataclass(frozen=True)
class _Candidate:
    """A package that may be chosen: how it was quantised, and how it compares with FP32."""

    folder: Path
    manifest: Manifest
    figures: dict[str, dict[str, Any]]

    @property
    def agreement(self) -> float:
        return pooled_agreement(self.figures)

    @property
    def problem(self) -> str | None:
        return agreement_problem(self.figures)


def convert(  # noqa: PLR0913 - most have a default
    source: Source,
    out: Path,
    *,
    name: str,
    calibration: Sequence[str] | None = None,
    verification: Mapping[str, Sequence[Sentence]] | None = None,
    scheme: Scheme = "auto",
    strength: float | None = None,
    force: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> ModelPackage:
    """Write the INT8 package of a tagger.

    Args:
        source: the tagger.
        out: folder to create; it must not exist. It is created atomically.
        name: of the model.
        calibration: real texts to measure the ranges of the activations with; built-in sentences by default.
        verification: labelled sentences by name; INT8 and FP32 are compared on them and on the built-in sentences.
        scheme: how activations are scaled; `auto` chooses the fastest scheme that agrees with FP32.
        strength: of the smoothing, see MIGRATION_STRENGTHS; by default those are tried.
        force: write the package even if too few labels agree with FP32.
        progress: called with a short description of each step.

    Raises:
        ConversionError: `out` exists or cannot be written, there are no texts to calibrate with, or INT8 and FP32 do
            not agree. No file is left behind.
    """
    check_output(out)
    progress("dropping word pieces that no text has")
    source = drop_unreachable_pieces(source)
    manifest = _manifest(source, name)
    texts = calibration_texts() if calibration is None else list(calibration[:MAX_CALIBRATION_TEXTS])
    if not any(text.strip() for text in texts):
        raise ConversionError("there are no texts to calibrate with; give some with --calibrate FILE")
    try:
        with _scratch(out) as scratch:
            work = _Conversion(source, manifest, scratch, progress, strength)
            chosen = work.choose(scheme, texts, verification or {})
            if (problem := chosen.problem) and not force:
                raise ConversionError(
                    f"{problem} have the same label in INT8 and FP32, but {MIN_AGREEMENT:.1%} are required; calibrate "
                    "with texts like yours (--calibrate FILE), or accept the difference (--force)"
                )
            write_manifest(chosen.folder, chosen.manifest.model_copy(update={"verification": chosen.figures}))
            shutil.move(chosen.folder, out)
    except OSError as error:
        raise ConversionError(f"cannot write {out}: {error.strerror or error}; no file was left behind") from error
    return open_package(out)


def parse_scheme(name: str) -> Scheme:
    """Return the scheme of this name.

    Raises:
        ConversionError: there is none.
    """
    if name not in get_args(Scheme):
        raise ConversionError(f"--scheme must be one of {', '.join(get_args(Scheme))}, but is {name!r}")
    return cast("Scheme", name)


def check_output(out: Path) -> None:
    """Check that the folder `out` can be created.

    Raises:
        ConversionError: the path exists.
    """
    if out.exists() or out.is_symlink():
        raise ConversionError(f"{out} already exists; remove it or choose another folder")


def write_package(source: Source, folder: Path, linear: Linear, manifest: Manifest) -> ModelPackage:
    """Write the files of a package and its manifest, and return it."""
    folder.mkdir()
    (folder / MODEL).write_bytes(build(source.weights, source.shape, linear).SerializeToString())
    (folder / CRF_FILE).write_bytes(save({part: source.weights[f"crf.{part}"] for part in CRF}))
    (folder / TOKENIZER).write_text(source.tokenizer, "utf-8")
    if source.shape.characters:
        (folder / CHARACTERS).write_text("\n".join(source.characters), "utf-8")
    return write_manifest(folder, manifest)


def open_recogniser(package: ModelPackage) -> Recogniser:
    """Return a recogniser that runs a package with the default engine."""
    return Recogniser(package, OnnxEngine(package))


@dataclass(frozen=True)
class _Conversion:
    """The conversion of one tagger.

    Attributes:
        manifest: without the fields that depend on the quantisation scheme.
        scratch: folder for candidates.
        strength: of the smoothing; None to try MIGRATION_STRENGTHS.
    """

    source: Source
    manifest: Manifest
    scratch: Path
    progress: Callable[[str], None]
    strength: float | None = None

    def choose(
        self, scheme: Scheme, texts: Sequence[str], verification: Mapping[str, Sequence[Sentence]]
    ) -> _Candidate:
        """Try the schemes, each with its strengths, until one agrees with FP32; if none does, return the best one."""
        reference, name = self._reference()
        reference = RememberedEngine(reference)
        self.progress("calibrating")
        sample = (item.batch for item in make_batches(self.source, texts))
        calibration = calibrate(self.source.weights, self.source.shape, sample)
        candidates: list[_Candidate] = []
        for kind in _SCHEMES if scheme == "auto" else (scheme,):
            tried = len(candidates)
            for strength in self._strengths(kind):
                self.progress(f"quantising with {kind} scales" + (f", strength {strength}" if strength else ""))
                manifest = self._with_quantisation(kind, strength, len(texts))
                linear = self._linear(kind, strength, calibration)
                package = write_package(self.source, self.scratch / f"{kind}-{strength}", linear, manifest)
                self.progress("comparing with FP32")
                candidates.append(self._compare(package, manifest, verification, reference, name))
            best = max(candidates[tried:], key=attrgetter("agreement"))
            if best.problem is None:
                return best
        return max(candidates, key=attrgetter("agreement"))

    def _strengths(self, kind: str) -> Sequence[float | None]:
        strengths = MIGRATION_STRENGTHS.get(kind)
        if strengths is None:
            return (None,)
        return strengths if self.strength is None else (self.strength,)

    def _with_quantisation(self, kind: str, strength: float | None, texts: int) -> Manifest:
        quantisation = {"scheme": _SCHEMES[kind], "weight_range": WEIGHT_RANGE, "calibration_texts": texts}
        if strength is not None:
            quantisation["smoothing_strength"] = strength
        return self.manifest.model_copy(update={"quantisation": quantisation})

    def _compare(
        self,
        package: ModelPackage,
        manifest: Manifest,
        verification: Mapping[str, Sequence[Sentence]],
        reference: Engine,
        name: str,
    ) -> _Candidate:
        engine = OnnxEngine(package)
        difference = compare(self.source, verification_texts(), engine, reference)
        figures = {BUILT_IN: {"reference": name, **difference.to_dict()}}
        for file, sentences in verification.items():
            difference = compare(self.source, [sentence.text for sentence in sentences], engine, reference)
            entities = compare_entities(package, sentences, engine, reference)
            figures[file] = {"reference": name, **difference.to_dict(), **entities}
        return _Candidate(package.path, manifest, figures)

    def _linear(self, kind: str, strength: float | None, calibration: Calibration) -> Linear:
        if strength is None:
            return StaticInt8(calibration.ranges, grams=calibration.grams)
        factors, smoothed = smooth(calibration, self.source.weights, self.source.shape, strength)
        if kind == "token":
            return SmoothQuant(TokenInt8(grams=smoothed.grams), factors)
        return SmoothQuant(StaticInt8(smoothed.ranges, grams=smoothed.grams), factors)

    def _reference(self) -> tuple[Engine, str]:
        self.progress("opening the FP32 model")
        reference = self._torch_reference()
        if reference is None:
            package = write_package(self.source, self.scratch / "fp32", Fp32(), self.manifest)
            return OnnxEngine(package), "the graph in FP32"
        return reference, reference.name

    def _torch_reference(self) -> "TorchReference | None":
        """Return the FP32 model of transformers, if torch is installed and transformers has one like it."""
        if self.source.shape.characters:  # a test compares the FP32 graph with the network of the training
            return None
        try:
            from hanner_models.conversion.torch_model import TorchReference  # noqa: PLC0415 - torch is optional
        except ImportError:
            return None
        return TorchReference(self.source)


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
            consistent_types=source.consistent_types,
            tokenizer=source.options,
            training=training,
        )
    except ValidationError:
        raise ConversionError(
            f"{name!r} is not a valid model name; give one of letters, digits, '.', '_' and '-' with --name"
        ) from None


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """Yield a temporary folder next to `out`. On failure, remove the parent folders that were created for it."""
    created = [folder for folder in out.absolute().parents if not folder.exists()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
            yield Path(scratch)
    except BaseException:
        for folder in created:
            with suppress(OSError):
                folder.rmdir()
        raise
