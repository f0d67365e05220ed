"""Find, verify and open a model package. Reads and writes model folders; never uses pickle.

A package is a folder with `manifest.json`, which has the sha256 of every other file, `model.onnx`, `crf.safetensors`,
`tokenizer.json`, `characters.txt` if the model labels characters of word pieces, and any other files that the manifest
lists. The sha256 of the manifest identifies the package.
"""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hanner.errors import HannerError
from hanner_inference.decoding.crf import Crf
from hanner_inference.decoding.labels import Labels
from hanner_inference.tokenization.options import TokenizerOptions
from hanner_inference.tokenization.tokenizer import TextTokenizer, make_tokenizer

MANIFEST = "manifest.json"
MODEL = "model.onnx"
CRF = "crf.safetensors"
TOKENIZER = "tokenizer.json"
CHARACTERS = "characters.txt"
"""The characters that have a vector of their own, one per line, if the model labels characters of word pieces."""
REQUIRED = (MODEL, CRF, TOKENIZER)
DEFAULT_MODEL: Final = "hanner-base"
"""The bundled model that is used if no other is named."""
FORMAT: Final = 1
"""Version of this layout; packages of another version are rejected."""
_NEW_MANIFEST = ".manifest.json.new"


class ModelPackageError(HannerError):
    """The model package cannot be used; set HANNER_MODEL to a bundled model, or to the folder of a valid package."""


class FileRecord(BaseModel):
    """Size and digest of a file of the package."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


class Manifest(BaseModel):
    """The content of manifest.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = FORMAT
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    source: str
    revision: str
    labels: tuple[str, ...]
    """Label names in the order of the logits: BIO, BIOES or BMES."""
    spans: Literal["conll", "modelscope"] = "conll"
    """How label paths that break the scheme are interpreted, see `hanner_inference.decoding.spans`."""
    consistent_types: bool = False
    """Whether the mentions of one name in a text get the same type, see `hanner_inference.decoding.consistency`."""
    tokenizer: TokenizerOptions
    quantisation: dict[str, Any] = {}
    verification: dict[str, Any] = {}
    training: dict[str, Any] = {}
    licences: tuple[Any, ...] = ()
    card: dict[str, Any] = {}
    """Scores on labelled sentences, known failures, how to reproduce: see `hanner model card`."""
    files: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")], FileRecord] = {}

    @property
    def labels_characters(self) -> bool:
        """Return whether the model reads word pieces and labels characters, instead of tokens."""
        return self.tokenizer.split == "pieces"


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """An open package. All its files exist and have the sizes in its manifest; their content is checked when read.

    Attributes:
        path: folder of the package.
        manifest: content of manifest.json.
        digest: sha256 of manifest.json, in hexadecimal.
    """

    path: Path
    manifest: Manifest
    digest: str

    @property
    def id(self) -> str:
        """Return NAME@DIGEST8, the model id in results."""
        return f"{self.manifest.name}@{self.digest[:8]}"

    def read(self, name: str) -> bytes:
        """Return the content of a file, verified again, so that only verified content is used.

        Args:
            name: file name, as listed in the manifest.

        Raises:
            ModelPackageError: if the file is missing or was changed.
        """
        data = _read(self.path, name)
        record = self.manifest.files[name]
        _check_size(self.path, name, record, len(data))
        _check_digest(self.path, name, record, hashlib.sha256(data).hexdigest())
        return data

    def labels(self) -> Labels:
        """Return the labels.

        Raises:
            ModelPackageError: if the labels are not a tagging scheme.
        """
        try:
            return Labels(self.manifest.labels)
        except ValueError as error:
            raise _error(self.path, MANIFEST, f"has labels that are not a tagging scheme: {error}") from None

    def crf(self) -> Crf:
        """Return the CRF.

        Raises:
            ModelPackageError: if its weights do not match the labels.
        """
        try:
            return Crf.from_bytes(self.read(CRF), len(self.manifest.labels))
        except ValueError as error:
            raise _error(self.path, CRF, f"is not a CRF for this model: {error}") from None

    def characters(self) -> tuple[str, ...]:
        """Return the characters that have a vector of their own, if the model labels characters of word pieces."""
        return tuple(self.read(CHARACTERS).decode().split("\n")) if self.manifest.labels_characters else ()

    def tokenizer(self) -> TextTokenizer:
        """Return the tokenizer.

        Raises:
            ModelPackageError: if it is not a tokenizer, or has no special tokens.
        """
        try:
            return make_tokenizer(self.read(TOKENIZER).decode(), self.manifest.tokenizer, self.characters())
        except ValueError as error:
            raise _error(self.path, TOKENIZER, f"cannot be used: {error}") from None


def bundled_models() -> dict[str, Path]:
    """Return the folders of the packages that are installed with hanner, by their names, sorted."""
    models = Path(str(files("hanner_inference"))) / "models"
    return {manifest.parent.name: manifest.parent for manifest in sorted(models.glob(f"*/{MANIFEST}"))}


def find_model(model: str | Path | None = None) -> Path:
    """Return the folder of a model package.

    Args:
        model: the name of a bundled model; any other string, and any `Path`, is a folder. By default, and if empty,
            `DEFAULT_MODEL`.

    Raises:
        ModelPackageError: if there is no such folder, or the default model is not installed.
    """
    bundled = bundled_models()
    name = model or DEFAULT_MODEL
    if isinstance(name, str) and name in bundled:
        return bundled[name]
    if not model:
        raise ModelPackageError(
            f"this installation has no model {DEFAULT_MODEL}; install hanner again, or set HANNER_MODEL to "
            f"{_choices(bundled)}"
        )
    folder = Path(name)
    if not folder.is_dir():
        raise ModelPackageError(f"there is no model package at {folder}; set HANNER_MODEL to {_choices(bundled)}")
    return folder


def _choices(bundled: Iterable[str]) -> str:
    """Return what names a model, as the end of an error message."""
    names = ", ".join(bundled)
    return f"a bundled model ({names}) or to the folder of a package" if names else "the folder of a package"


def open_package(model: str | Path | None = None, *, read_all: bool = True) -> ModelPackage:
    """Return a package after checking all of it but the graph of model.onnx.

    Args:
        model: the name of a bundled model, or a folder, see `find_model`.
        read_all: whether the content of all files is checked now. Otherwise that of each file is checked when it is
            read, which saves the time to read it twice.

    Raises:
        ModelPackageError: if the package is missing, unreadable, damaged, inconsistent, or has another format.
    """
    folder = Path(model or DEFAULT_MODEL)
    try:
        folder = find_model(model)
        return _open(folder, read_all=read_all)
    except PermissionError as error:
        raise _unreadable(Path(error.filename or folder), error) from error


def _open(folder: Path, *, read_all: bool) -> ModelPackage:
    data = _read(folder, MANIFEST)
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise _error(folder, MANIFEST, _describe(error)) from None
    _check_files(folder, manifest)
    package = ModelPackage(folder, manifest, hashlib.sha256(data).hexdigest())
    if read_all:
        for name, record in manifest.files.items():
            _check_digest(folder, name, record, _digest(folder / name))
        package.labels()
        package.crf()
        package.tokenizer()
    return package


def write_manifest(folder: str | Path, manifest: Manifest) -> ModelPackage:
    """Write the manifest of a folder, replacing an older one atomically, and return the package.

    Args:
        folder: folder with model.onnx, crf.safetensors, tokenizer.json and any other files of the package.
        manifest: the manifest; its `files` are computed.

    Raises:
        ModelPackageError: if the result is not a valid package; the manifest is written anyway.
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
    for name in (*REQUIRED, *[CHARACTERS] * manifest.labels_characters):
        if name not in manifest.files:
            raise _error(folder, MANIFEST, f"does not list {name}")
    for name, record in manifest.files.items():
        file = folder / name
        if not file.is_file():
            raise _error(folder, name, "is missing")
        _check_size(folder, name, record, file.stat().st_size)
    if unknown := sorted({file.name for file in folder.iterdir()} - manifest.files.keys() - {MANIFEST}):
        raise ModelPackageError(f"{folder / unknown[0]} does not belong to the model package; remove it")


def _check_size(folder: Path, name: str, record: FileRecord, size: int) -> None:
    if size != record.bytes:
        raise _error(folder, name, f"has {size:,} bytes; expected {record.bytes:,}")


def _check_digest(folder: Path, name: str, record: FileRecord, digest: str) -> None:
    if digest != record.sha256:
        raise _error(folder, name, "was changed: its sha256 differs from the manifest")


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(file, error) from error


def _read(folder: Path, name: str) -> bytes:
    file = folder / name
    try:
        if file.exists() and not file.is_file():  # reading a FIFO would not end
            raise _error(folder, name, "is not a regular file")
        return file.read_bytes()
    except FileNotFoundError:
        raise _error(folder, name, "is missing") from None
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(path: Path, error: OSError) -> ModelPackageError:
    if isinstance(error, PermissionError):
        advice = f"let the user {os.geteuid()} read it, for example with: chmod -R a+rX {path.parent}"
    else:
        advice = "check the disk, or copy the model package again"
    return ModelPackageError(f"{path} cannot be read ({error.strerror}); {advice}")


def _describe(error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if field == "format":
        return f"has format {first['input']!r}; this version of hanner reads format {FORMAT}"
    return f"is not valid: {field + ': ' if field else ''}{first['msg']}"


def _error(folder: Path, name: str, problem: str) -> ModelPackageError:
    return ModelPackageError(f"{folder / name} {problem}; fetch or export the model package again")
