"""The outputs of `hanner extract`: stdout, a file of lines that can be resumed, a folder for brat, a spaCy DocBin.

An output knows how many texts it has from an earlier run, and receives the records after them.
"""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from hanner.cli import terminal
from hanner.cli.errors import UsageError
from hanner.cli.formats import Format, Record
from hanner.cli.formats import brat as standoff
from hanner.cli.formats.spacy import DocBinWriter
from hanner.errors import HannerError
from hanner.files.read import FILE

if TYPE_CHECKING:
    from hanner.results import Entity

TABLE_ROWS = 1000
"""Rows of one table: many texts are printed as several tables, so that memory does not grow."""
FLUSH_INTERVAL = 0.5
"""Seconds after which written records are flushed, so that others can follow the file."""
BRAT_TEXTS = 100
"""Texts in one document: brat shows a document on one page."""


class Output(Protocol):
    """Writes records in order.

    Attributes:
        existing: Number of texts from an earlier run.
        can_resume: Whether a later run can continue it.
    """

    existing: int
    can_resume: bool

    def ends_with(self, text: str | None) -> bool:
        """Return whether the last existing text can be this one."""
        ...

    def write(self, record: Record) -> None:
        """Write a record."""
        ...

    def finish(self) -> None:
        """Complete the output after the last record."""
        ...

    def close(self) -> None:
        """Close the output, also if it is incomplete."""
        ...


class StdoutLines:
    """Lines on stdout, flushed after each record."""

    existing = 0
    can_resume = False

    def __init__(self, form: Format) -> None:
        self._form = form
        self._encoding = sys.stdout.encoding or "utf-8"
        self._print(form.header)

    def ends_with(self, text: str | None) -> bool:
        """Return True: stdout has no earlier texts to compare with."""
        del text
        return True

    def write(self, record: Record) -> None:
        """Print a record."""
        self._print(self._form.render(record))

    def finish(self) -> None:
        """Print the footer."""
        self._print(self._form.footer)

    def close(self) -> None:
        """Do nothing: stdout stays open."""

    def _print(self, lines: str) -> None:
        sys.stdout.write(lines.encode(self._encoding, self._form.encoding_errors).decode(self._encoding))
        sys.stdout.flush()


class StdoutTable:
    """Tables of entities for people on stdout, and errors on stderr."""

    existing = 0
    can_resume = False

    def __init__(self) -> None:
        self._rows: list[tuple[int, str, Entity | None]] = []
        self._texts = 0

    def ends_with(self, text: str | None) -> bool:
        """Return True: stdout has no earlier texts to compare with."""
        del text
        return True

    def write(self, record: Record) -> None:
        """Add a record; print the table when it is full."""
        self._texts += 1
        file = str(record.fields.get(FILE, ""))
        if record.document.error is not None:
            print(f"hanner: text {self._texts}: {record.document.error.message}", file=sys.stderr)
        else:
            self._rows += [(self._texts, file, entity) for entity in record.document.entities or [None]]
        if len(self._rows) >= TABLE_ROWS:
            self._print()

    def finish(self) -> None:
        """Print the last table."""
        if any(entity for *_, entity in self._rows) or self._texts > 1:
            self._print()
        elif self._rows or not self._texts:
            print(f"No entities in {terminal.pluralize(self._texts, 'text')}.")

    def close(self) -> None:
        """Do nothing: stdout stays open."""

    def _print(self) -> None:
        if self._rows:
            terminal.console().print(terminal.entity_table(self._rows))
            self._rows.clear()


class LineFile:
    """A file of records that a later run can continue; an incomplete record at its end is cut off first.

    Args:
        path: The file.
        form: Its format.
        resume: Continue the file if it exists.
        clock: Returns monotonic seconds, for flushing.

    Attributes:
        can_resume: Whether a later run can continue it: unless it is a device or a pipe.

    Raises:
        UsageError: the file has another format, or another process writes to it.
        HannerError: the file cannot be written.
    """

    def __init__(self, path: Path, form: Format, *, resume: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._form = form
        self._clock = clock
        self._flushed_at = clock()
        self.existing, self._last_lines = 0, b""
        self.can_resume = path.is_file() or not path.exists()
        with os_errors_as_hanner_errors(path):
            # A device or a pipe can only be written.
            descriptor = os.open(path, (os.O_RDWR if self.can_resume else os.O_WRONLY) | os.O_CREAT, 0o666)
            self._file: IO[bytes] = os.fdopen(descriptor, "r+b" if self.can_resume else "wb")
        try:
            with os_errors_as_hanner_errors(path):
                self._start(resume=resume)
        except BaseException:
            self.close()
            raise

    def _start(self, *, resume: bool) -> None:
        if not self._path.is_file():  # it cannot be locked or truncated
            self._file.write(self._form.header.encode())
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another process writes to {self._path}; stop it, or name another --output") from None
        if resume:
            self._seek_end()
        else:
            self._file.truncate(0)
        if not self._file.tell():
            self._file.write(self._form.header.encode())

    def _seek_end(self) -> None:
        """Seek to the end of the last complete record, and truncate the file there."""
        header, footer = self._form.header.encode(), self._form.footer.encode().partition(b"\n")[0] + b"\n"
        start = self._file.read(len(header))
        if start != header and not header.startswith(start):
            form = type(self._form).__name__
            raise UsageError(f"{self._path} is not a {form} file of hanner; name another --output")
        has_header = start == header
        end = len(header) if has_header else 0
        lines: list[bytes] = []
        for line in self._file if has_header else ():
            if line == footer and len(footer) > 1:
                break
            lines.append(line)
            if self._form.ends_record(line):
                self._last_lines = b"".join(lines)
                end += len(self._last_lines)
                self.existing += 1
                lines.clear()
        self._file.seek(end)
        self._file.truncate(end)

    def ends_with(self, text: str | None) -> bool:
        """Return whether the last record can be that of this text, as far as the format shows it."""
        return not self._last_lines or self._form.matches(self._last_lines.decode(errors="replace"), text)

    def write(self, record: Record) -> None:
        """Append a record."""
        with os_errors_as_hanner_errors(self._path):
            self._file.write(self._form.render(record).encode("utf-8", self._form.encoding_errors))
            if self._clock() - self._flushed_at >= FLUSH_INTERVAL:
                self._file.flush()
                self._flushed_at = self._clock()

    def finish(self) -> None:
        """Write the footer and sync the file to disk."""
        with os_errors_as_hanner_errors(self._path):
            self._file.write(self._form.footer.encode())
            self._file.flush()
            if self._path.is_file():
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file. Errors are ignored: a failed write has been reported already."""
        with contextlib.suppress(OSError):
            self._file.close()


class BratFolder:
    """A folder of brat documents. Each is written as a whole: NAME.ann first, NAME.txt last, each atomically.

    Args:
        path: The folder.
        texts: Texts in one document.
        resume: Continue after the last complete document.

    Raises:
        HannerError: the folder cannot be written.
    """

    can_resume = True

    def __init__(self, path: Path, *, resume: bool, texts: int = BRAT_TEXTS) -> None:
        self._path = path
        self._size = texts
        self._records: list[Record] = []
        self._number = 0
        with os_errors_as_hanner_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            while resume and self._file(self._number + 1, "txt").exists():
                self._number += 1
        # The last document may be incomplete if the input has grown since, so it is written again.
        self._number = max(0, self._number - 1)
        self.existing = self._number * texts
        self._types = self._read_types() if resume else set()

    def ends_with(self, text: str | None) -> bool:
        """Return True: documents do not show where a text starts and ends."""
        del text
        return True

    def write(self, record: Record) -> None:
        """Add a record; write the document when it is full."""
        self._records.append(record)
        if len(self._records) == self._size:
            self._write_document()

    def finish(self) -> None:
        """Write the last document."""
        if self._records:
            self._write_document()

    def close(self) -> None:
        """Do nothing: no file is open."""

    def _write_document(self) -> None:
        document = standoff.make_document(self._records)
        self._records.clear()
        self._number += 1
        with os_errors_as_hanner_errors(self._path):
            self._types |= document.types
            _replace_file(self._path / "annotation.conf", standoff.make_configuration(self._types))
            _replace_file(self._file(self._number, "ann"), document.annotations)
            _replace_file(self._file(self._number, "txt"), document.text)

    def _read_types(self) -> set[str]:
        with contextlib.suppress(OSError):
            return standoff.parse_types((self._path / "annotation.conf").read_text("utf-8"))
        return set()

    def _file(self, number: int, suffix: str) -> Path:
        return self._path / f"{number:06d}.{suffix}"


class DocBinFile:
    """A .spacy file. Its documents are in memory until it is written at the end."""

    existing = 0
    can_resume = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = DocBinWriter()

    def ends_with(self, text: str | None) -> bool:
        """Return True: a .spacy file is always written from the start."""
        del text
        return True

    def write(self, record: Record) -> None:
        """Add a record."""
        self._writer.add([record])

    def finish(self) -> None:
        """Write the file."""
        with os_errors_as_hanner_errors(self._path):
            self._writer.save(self._path)

    def close(self) -> None:
        """Do nothing: no file is open."""


def _replace_file(path: Path, content: str) -> None:
    """Write a file atomically."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content.encode(errors="replace"))
    new.replace(path)


@contextlib.contextmanager
def os_errors_as_hanner_errors(path: Path) -> Iterator[None]:
    """Raise a HannerError that names the path in place of an OSError; a closed pipe passes through."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise HannerError(
            f"{path} cannot be written: {error.strerror}; fix that, then run the same command with --resume"
        ) from None
