"""Input files: which ones an argument means, their format, and their decompressed bytes."""

import bz2
import contextlib
import glob
import gzip
import importlib
import io
import lzma
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from hanner.errors import InvalidText
from hanner.files.options import FileFormat
from hanner.utils.packaging import install_hint

STDIN = Path("-")
ZSTD_MODULES = ("compression.zstd", "backports.zstd")
BUFFER = 1 << 18
"""Bytes that are read ahead at most; the encoding is detected in them."""
COMPRESSED_SUFFIXES = {".gz", ".zst", ".bz2", ".xz"}
SUFFIXES = {
    **dict.fromkeys((".txt", ".text", ".md", ".log"), FileFormat.TEXT),
    **dict.fromkeys((".jsonl", ".ndjson"), FileFormat.JSONL),
    ".json": FileFormat.JSON,
    ".csv": FileFormat.CSV,
    **dict.fromkeys((".tsv", ".tab"), FileFormat.TSV),
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), FileFormat.EXCEL),
    **dict.fromkeys((".html", ".htm", ".xhtml"), FileFormat.HTML),
}
"""Suffixes of files that a folder is searched for. Other files are read as text if they are named."""
UNSUPPORTED = {
    ".pdf": "a PDF; extract its text first, such as with pdftotext",
    **dict.fromkeys((".doc", ".docx", ".odt", ".rtf", ".epub"), "a document; convert it first: pandoc -t plain"),
    **dict.fromkeys((".ppt", ".pptx", ".odp"), "a presentation; save its text as .txt first"),
    **dict.fromkeys((".zip", ".rar", ".7z", ".tar", ".tgz"), "an archive; unpack it first"),
    **dict.fromkeys((".parquet", ".feather", ".arrow"), "a columnar file; convert it to .csv or .jsonl first"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tiff"), "a picture; hanner reads text only"),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3"), "a database; export a table as .csv first"),
    ".xml": "XML, whose text is not in a known place; convert it to .jsonl or .txt first",
}
MAGIC = {
    b"%PDF": UNSUPPORTED[".pdf"],
    b"PK\x03\x04": "an archive or an Office document; for a workbook, add --input-format excel",
    b"\xd0\xcf\x11\xe0": "an old Office document; for a workbook, add --input-format excel",
    b"Rar!": UNSUPPORTED[".rar"],
    b"7z\xbc\xaf": UNSUPPORTED[".7z"],
    b"PAR1": UNSUPPORTED[".parquet"],
    b"\x89PNG": UNSUPPORTED[".png"],
    b"\xff\xd8\xff": UNSUPPORTED[".jpg"],
    b"GIF8": UNSUPPORTED[".gif"],
    b"SQLite": UNSUPPORTED[".sqlite"],
}
"""First bytes of files that are not text, whatever their names are."""


class Source:
    """The bytes of one input file, decompressed.

    Attributes:
        path: The file; `-` is stdin.
        name: Its name for messages.
        stream: Its bytes; `peek` returns those ahead without waiting for more.
    """

    def __init__(self, path: Path, file: Any) -> None:
        self.path = path
        self.name = "stdin" if path == STDIN else str(path)
        self._file: io.BufferedReader = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file, BUFFER)
        with self.errors():
            self.stream = self._decompress()

    def _decompress(self) -> io.BufferedReader:
        start = self._file.peek(6)
        for magic, opener in _DECOMPRESSORS.items():
            if start.startswith(magic):
                return io.BufferedReader(opener(self._file), BUFFER)
        return self._file

    def position(self) -> int:
        """Return the number of bytes of the file that have been read; 0 for a pipe."""
        try:
            return self._file.tell()
        except OSError:
            return 0

    def read(self, limit: int | None = None) -> bytes:
        """Return all bytes, or at most `limit`."""
        with self.errors():
            return self.stream.read() if limit is None else self.stream.read(limit)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Raise InvalidText for errors of reading and of decompression."""
        try:
            yield
        except OSError as error:
            raise InvalidText(f"{self.name} cannot be read: {error.strerror or error}") from None
        except Exception as error:
            if not isinstance(error, (EOFError, lzma.LZMAError, zlib.error, *_zstd_errors())):
                raise
            raise InvalidText(
                f"{self.name} cannot be decompressed ({error}); it may be damaged or incomplete"
            ) from None


def expand(paths: Iterable[Path], notify: Callable[[str], None]) -> list[Path]:
    """Return the files that arguments mean: files, the files in folders, and those that a pattern matches.

    Args:
        paths: Files, folders, patterns such as `texts/*.txt`; `-` is stdin.
        notify: Receives a sentence about the files of a folder that are not read.

    Raises:
        InvalidText: a pattern matches no file, or a folder has no file to read.
    """
    files: list[Path] = []
    for path in paths:
        if path == STDIN or path.is_file():
            files.append(path)
        elif path.is_dir():
            files += _search(path, notify)
        elif glob.has_magic(str(path)) and not path.exists():
            found = glob.glob(str(path), recursive=True)  # noqa: PTH207 - the pattern may be absolute
            matches = [match for match in sorted(map(Path, found)) if match.is_file()]
            if not matches:
                raise InvalidText(f"no file matches {path}")
            files += matches
        else:
            files.append(path)  # a device, a pipe, or a missing file, which is reported when it is opened
    return files


def _search(folder: Path, notify: Callable[[str], None]) -> list[Path]:
    """Return the files with a known suffix in a folder and its subfolders, sorted; hidden files are skipped."""
    found: list[Path] = []
    skipped: list[Path] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            (found if _suffix(path) in SUFFIXES else skipped).append(path)
    if skipped:
        names = ", ".join(str(path.relative_to(folder)) for path in skipped[:5])
        more = f" and {len(skipped) - 5:,} more" if len(skipped) > 5 else ""
        notify(f"not read in {folder}, unknown suffix: {names}{more}; name a file with -f to read it")
    if not found:
        raise InvalidText(f"{folder} has no file to read; known suffixes are {', '.join(sorted(SUFFIXES))}")
    return found


def _suffix(path: Path) -> str:
    """Return the suffix of a file in lower case, without that of its compression."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in COMPRESSED_SUFFIXES else suffix


def choose_format(path: Path) -> FileFormat:
    """Return the format of a file by its suffix; lines of text for an unknown one.

    Raises:
        InvalidText: the suffix is that of a format that is not supported.
    """
    suffix = _suffix(path)
    if suffix in UNSUPPORTED:
        raise InvalidText(f"{path} cannot be read: it is {UNSUPPORTED[suffix]}")
    return SUFFIXES.get(suffix, FileFormat.TEXT)


def check_is_text(source: Source) -> None:
    """Raise InvalidText if the first bytes of a file are not text."""
    with source.errors():
        start = source.stream.peek(8)
    for magic, reason in MAGIC.items():
        if start.startswith(magic):
            raise InvalidText(f"{source.name} cannot be read: it is {reason}")


def total_bytes(files: Iterable[Path]) -> int | None:
    """Return the total size of the files; None if it is unknown."""
    total = 0
    for path in files:
        if path == STDIN or not path.is_file():
            return None
        try:
            total += path.stat().st_size
        except OSError:
            return None
    return total


@contextlib.contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a file; yields its source.

    Raises:
        InvalidText: it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        try:
            if path == STDIN:
                source = Source(path, sys.stdin.buffer)
            else:
                source = Source(path, stack.enter_context(path.open("rb", buffering=BUFFER)))
        except OSError as error:
            raise InvalidText(f"{path} cannot be read: {error.strerror or error}") from None
        yield source


def _zstd() -> Any:
    """Return the module for zstd: Python's own since 3.14, before that its backport."""
    for name in ZSTD_MODULES:
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise InvalidText(f"a file compressed with zstd needs a library: {install_hint('files')}")


def _zstd_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of the module for zstd, if it was used."""
    loaded = (sys.modules.get(name) for name in ZSTD_MODULES)
    return tuple(module.ZstdError for module in loaded if module is not None)


def is_compressed(start: bytes) -> bool:
    """Return whether a file that starts with these bytes, at least six, is decompressed when it is read."""
    return start.startswith(tuple(_DECOMPRESSORS))


_DECOMPRESSORS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
    b"\x28\xb5\x2f\xfd": lambda file: _zstd().open(file),
}
"""First bytes of compressed files, and how to read them."""
