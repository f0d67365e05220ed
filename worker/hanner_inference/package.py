"""Find a model package, check every byte of it, open it. Reads and writes model folders; no pickle anywhere.

A package is a folder: `manifest.json`, which has the sha256 of every other file, `model.onnx`, `crf.safetensors`,
`tokenizer.json`, and whatever else its manifest lists. The sha256 of the manifest names the package as a whole.
"""

import hashlib
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hanner.errors import HannerError
from hanner_inference.decoding.crf import Crf
from hanner_inference.decoding.labels import Labels
from hanner_inference.tokenization.tokens import TextTokenizer

MANIFEST = "manifest.json"
MODEL = "model.onnx"
CRF = "crf.safetensors"
TOKENIZER = "tokenizer.json"
REQUIRED = (MODEL, CRF, TOKENIZER)
FORMAT: Final = 1
"""Version of this layout; a package of another one is refused."""
_NEW_MANIFEST = ".manifest.json.new"


class ModelPackageError(HannerError):
    """The model package cannot be used; set HANNER_MODEL to the folder of a good one."""


class TokenizerOptions(BaseModel):
    """How texts were prepared when the model was trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lowercase: bool
    half_width: bool
    max_length: Annotated[int, Field(ge=16)]
    """Most tokens the model takes at once, the two special ones included."""
    cls_id: Annotated[int, Field(ge=0)] | None = None
    """Id of the token before every window; that of [CLS] if not given."""
    sep_id: Annotated[int, Field(ge=0)] | None = None
    """Id of the token after it; that of [SEP] if not given."""
    split: Literal["words", "characters"] = "words"
    """What the tokenizer sees at once: the text, in which it finds the words, or one character after the other."""
    label_mask: Literal["all", "first"] = "all"
    """Which tokens of a word have labels and take part in the CRF: all, or the first alone."""


class FileRecord(BaseModel):
    """What a file of the package must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


class Manifest(BaseModel):
    """What manifest.json says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = FORMAT
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    source: str
    revision: str
    labels: tuple[str, ...]
    """In the order of the logits; BIO, BIOES or BMES."""
    spans: Literal["conll", "modelscope"] = "conll"
    """How label paths that break the scheme are read, see `hanner_inference.decoding.spans`."""
    tokenizer: TokenizerOptions
    quantisation: dict[str, Any] = {}
    verification: dict[str, Any] = {}
    training: dict[str, Any] = {}
    licences: tuple[Any, ...] = ()
    card: dict[str, Any] = {}
    """Figures on labelled sentences, known failures, how to reproduce: see `hanner model card`."""
    files: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")], FileRecord] = {}


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A package whose files were all as its manifest says when it was opened.

    Attributes:
        path: its folder.
        manifest: what manifest.json says.
        digest: sha256 of manifest.json, in hexadecimal.
    """

    path: Path
    manifest: Manifest
    digest: str

    @property
    def id(self) -> str:
        """NAME@DIGEST8, as results carry it."""
        return f"{self.manifest.name}@{self.digest[:8]}"

    def read(self, name: str) -> bytes:
        """Return a file's bytes, checked once more: what is used is what was verified.

        Raises:
            ModelPackageError: the file is missing or was changed.
        """
        data = _read(self.path, name)
        _check_digest(self.path, name, self.manifest.files[name], len(data), hashlib.sha256(data).hexdigest())
        return data

    def labels(self) -> Labels:
        """Return the labels, read.

        Raises:
            ModelPackageError: they are no tagging scheme.
        """
        try:
            return Labels(self.manifest.labels)
        except ValueError as error:
            raise _fault(self.path, MANIFEST, f"has labels that are no tagging scheme: {error}") from None

    def crf(self) -> Crf:
        """Read the CRF.

        Raises:
            ModelPackageError: its weights do not match the labels.
        """
        try:
            return Crf.from_bytes(self.read(CRF), len(self.manifest.labels))
        except ValueError as error:
            raise _fault(self.path, CRF, f"is no CRF for this model: {error}") from None

    def tokenizer(self) -> TextTokenizer:
        """Read the tokenizer.

        Raises:
            ModelPackageError: it is none, or lacks [CLS] or [SEP].
        """
        try:
            return TextTokenizer(self.read(TOKENIZER).decode(), self.manifest.tokenizer)
        except ValueError as error:
            raise _fault(self.path, TOKENIZER, f"cannot be used: {error}") from None


def bundled_path() -> Path:
    """Return the folder of the model that comes with hanner.

    Raises:
        ModelPackageError: this installation has none.
    """
    models = Path(str(files("hanner_inference"))) / "models"
    found = sorted(manifest.parent for manifest in models.glob(f"*/{MANIFEST}"))
    if len(found) != 1:
        raise ModelPackageError(
            f"this installation has {len(found) or 'no'} bundled models and should have one; "
            "install hanner[worker] again, or set HANNER_MODEL to the folder of a model package"
        )
    return found[0]


def open_package(path: str | Path | None = None) -> ModelPackage:
    """Open the package in `path`, the bundled one by default, and check all of it except the graph of model.onnx.

    Raises:
        ModelPackageError: it is missing, damaged, incomplete, of another format, or does not fit together. The sentence
            names the file and says what to do.
    """
    folder = Path(path) if path else bundled_path()
    if not folder.is_dir():
        raise ModelPackageError(f"there is no model package at {folder}; set HANNER_MODEL to the folder of one")
    data = _read(folder, MANIFEST)
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise _fault(folder, MANIFEST, _describe(error)) from None
    _check_files(folder, manifest)
    package = ModelPackage(folder, manifest, hashlib.sha256(data).hexdigest())
    package.labels()
    package.crf()
    package.tokenizer()
    return package


def write_manifest(folder: str | Path, manifest: Manifest) -> ModelPackage:
    """Make a package of a folder that holds all its files but the manifest; an older manifest is replaced at once.

    Args:
        folder: holds model.onnx, crf.safetensors, tokenizer.json and any other files of the package.
        manifest: what to say of them; its `files` are computed anew.

    Raises:
        ModelPackageError: what stands there makes no package; the manifest is written all the same.
    """
    folder = Path(folder)
    records = {
        file.name: FileRecord(sha256=_digest(file), bytes=file.stat().st_size)
        for file in sorted(folder.iterdir())
        if file.name not in {MANIFEST, _NEW_MANIFEST} and file.is_file()
    }
    text = manifest.model_copy(update={"files": records}).model_dump_json(indent=2) + "\n"
    new = folder / _NEW_MANIFEST
    with new.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(folder / MANIFEST)
    return open_package(folder)


def _check_files(folder: Path, manifest: Manifest) -> None:
    for name in REQUIRED:
        if name not in manifest.files:
            raise _fault(folder, MANIFEST, f"does not list {name}")
    for name, record in manifest.files.items():
        file = folder / name
        if not file.is_file():
            raise _fault(folder, name, "is missing")
        _check_digest(folder, name, record, file.stat().st_size, _digest(file))
    if unknown := sorted({file.name for file in folder.iterdir()} - manifest.files.keys() - {MANIFEST}):
        raise ModelPackageError(f"{folder / unknown[0]} does not belong to the model package; remove it")


def _check_digest(folder: Path, name: str, record: FileRecord, size: int, digest: str) -> None:
    if size != record.bytes:
        raise _fault(folder, name, f"has {size:,} bytes and should have {record.bytes:,}")
    if digest != record.sha256:
        raise _fault(folder, name, "was changed: its sha256 is not the one in the manifest")


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _fault(file.parent, file.name, f"cannot be read ({error.strerror})") from error


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise _fault(folder, name, "is missing") from None
    except OSError as error:
        raise _fault(folder, name, f"cannot be read ({error.strerror})") from error


def _describe(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if where == "format":
        return f"has format {first['input']!r} and this hanner reads format {FORMAT}"
    return f"is not valid: {where + ': ' if where else ''}{first['msg']}"


def _fault(folder: Path, name: str, what: str) -> ModelPackageError:
    return ModelPackageError(f"{folder / name} {what}; fetch or export the model package again")
