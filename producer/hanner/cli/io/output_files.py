"""The files that `hanner extract` writes: one that can be continued, brat's folder, a .spacy file."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from hanner.cli.formats import Format, Record
from hanner.cli.formats import brat as standoff
from hanner.cli.formats.spacy import DocBinWriter
from hanner.cli.io.outputs import telling
from hanner.cli.usage_error import Misused

FLUSH_SECONDS = 0.5
"""A file on disk is never further behind than this, for those who watch it."""
BRAT_TEXTS = 100
"""Texts of one document: what brat shows on one page."""


class LineFile:
    """A file of records, which a later run can continue: what is torn at its end is cut off first.

    Args:
        path: The file.
        form: Its format.
        resume: Continue it if it exists.
        clock: For flushing now and then.

    Raises:
        Misused: it is no output of this format, or another process writes to it.
        HannerError: it cannot be written.
    """

    def __init__(self, path: Path, form: Format, *, resume: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._form = form
        self._clock = clock
        self._flushed = clock()
        self.done, self._last = 0, b""
        with telling(path):
            # A device, or a pipe, can be written and nothing else.
            regular = path.is_file() or not path.exists()
            opened = os.open(path, (os.O_RDWR if regular else os.O_WRONLY) | os.O_CREAT, 0o666)
            self._file: IO[bytes] = os.fdopen(opened, "r+b" if regular else "wb")
        try:
            with telling(path):
                self._begin(resume=resume)
        except BaseException:
            self.close()
            raise

    def _begin(self, *, resume: bool) -> None:
        if not self._path.is_file():  # nothing to lock or cut
            self._file.write(self._form.header.encode())
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Misused(f"{self._path} is being written by another process") from None
        if resume:
            self._seek_end()
        else:
            self._file.truncate(0)
        if not self._file.tell():
            self._file.write(self._form.header.encode())

    def _seek_end(self) -> None:
        """Find the end of the last complete record, and cut off what follows."""
        header, footer = self._form.header.encode(), self._form.footer.encode().partition(b"\n")[0] + b"\n"
        found = self._file.read(len(header))
        if found != header and not header.startswith(found):
            raise Misused(f"{self._path} is no {type(self._form).__name__} file of hanner's; name another --output")
        begun = found == header
        end = len(header) if begun else 0
        gathered: list[bytes] = []
        for line in self._file if begun else ():
            if line == footer and len(footer) > 1:
                break
            gathered.append(line)
            if self._form.ends_record(line):
                self._last = b"".join(gathered)
                end += len(self._last)
                self.done += 1
                gathered.clear()
        self._file.seek(end)
        self._file.truncate(end)

    def check(self, text: str | None) -> bool:
        """Compare a text with the last one the file holds, as far as the format tells it."""
        return not self._last or self._form.continues(self._last.decode(errors="replace"), text)

    def write(self, record: Record) -> None:
        """Append a record."""
        with telling(self._path):
            self._file.write(self._form.render(record).encode("utf-8", self._form.unencodable))
            if self._clock() - self._flushed >= FLUSH_SECONDS:
                self._file.flush()
                self._flushed = self._clock()

    def finish(self) -> None:
        """Write the footer and see everything safely on the disk."""
        with telling(self._path):
            self._file.write(self._form.footer.encode())
            self._file.flush()
            if self._path.is_file():
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; what could not be written has been told already."""
        with contextlib.suppress(OSError):
            self._file.close()


class BratFolder:
    """A folder of brat's documents, each written whole: NAME.ann first, NAME.txt last, each at one stroke.

    Args:
        path: The folder.
        texts: Texts of one document.
        resume: Continue it after its last complete document.

    Raises:
        Misused: there are documents in it that are not to be continued.
        HannerError: it cannot be written.
    """

    def __init__(self, path: Path, *, resume: bool, texts: int = BRAT_TEXTS) -> None:
        self._path = path
        self._size = texts
        self._records: list[Record] = []
        self._number = 0
        with telling(path):
            path.mkdir(parents=True, exist_ok=True)
            while resume and self._file(self._number + 1, "txt").exists():
                self._number += 1
        # The last document may be a short one, of an input that has grown: it is made again.
        self._number = max(0, self._number - 1)
        self.done = self._number * texts
        self._types = self._configured() if resume else set()

    def check(self, text: str | None) -> bool:
        """Documents do not tell where one text ends and the next begins."""
        del text
        return True

    def write(self, record: Record) -> None:
        """Take a record; write a document when it is full."""
        self._records.append(record)
        if len(self._records) == self._size:
            self._write_document()

    def finish(self) -> None:
        """Write the rest."""
        if self._records:
            self._write_document()

    def close(self) -> None:
        """Nothing is open."""

    def _write_document(self) -> None:
        made = standoff.document(self._records)
        self._records.clear()
        self._number += 1
        with telling(self._path):
            self._types |= made.types
            _put(self._path / "annotation.conf", standoff.configuration(self._types))
            _put(self._file(self._number, "ann"), made.annotations)
            _put(self._file(self._number, "txt"), made.text)

    def _configured(self) -> set[str]:
        with contextlib.suppress(OSError):
            return standoff.types_in((self._path / "annotation.conf").read_text("utf-8"))
        return set()

    def _file(self, number: int, kind: str) -> Path:
        return self._path / f"{number:06d}.{kind}"


class DocBinFile:
    """A .spacy file, written at the end; its documents are in memory until then."""

    done = 0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = DocBinWriter()

    def check(self, text: str | None) -> bool:
        """Nothing was written before."""
        del text
        return True

    def write(self, record: Record) -> None:
        """Take a record."""
        self._writer.add([record])

    def finish(self) -> None:
        """Write the file."""
        with telling(self._path):
            self._writer.save(self._path)

    def close(self) -> None:
        """Nothing is open."""


def _put(path: Path, content: str) -> None:
    """Replace a file at one stroke."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content.encode(errors="replace"))
    new.replace(path)
