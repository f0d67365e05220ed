"""Where `hanner extract` writes: what all outputs share, and those on stdout. Files are in files.py.

An output knows how many texts it holds already, and takes the records that come after them.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hanner.cli.formats import Format, Record
from hanner.errors import HannerError

if TYPE_CHECKING:
    from hanner.contract import Entity


TABLE_ROWS = 1000
"""Rows of one table: many texts make several, so that memory does not grow."""


class Output(Protocol):
    """Takes records in order.

    Attributes:
        done: Texts it holds from an earlier run.
    """

    done: int

    def check(self, text: str | None) -> bool:
        """Say whether the last text it holds can be this one."""
        ...

    def write(self, record: Record) -> None:
        """Take a record."""
        ...

    def finish(self) -> None:
        """Complete it after the last record."""
        ...

    def close(self) -> None:
        """Let go of it, complete or not."""
        ...


class Pipe:
    """Lines to stdout, each record at once."""

    done = 0

    def __init__(self, form: Format) -> None:
        self._form = form
        self._errors = sys.stdout.encoding or "utf-8", form.unencodable
        self._print(form.header)

    def check(self, text: str | None) -> bool:
        """Nothing was written before."""
        del text
        return True

    def write(self, record: Record) -> None:
        """Print a record."""
        self._print(self._form.render(record))

    def finish(self) -> None:
        """Print the footer."""
        self._print(self._form.footer)

    def close(self) -> None:
        """Leave stdout open; it is not ours."""

    def _print(self, lines: str) -> None:
        encoding, errors = self._errors
        sys.stdout.write(lines.encode(encoding, errors).decode(encoding))
        sys.stdout.flush()


class Table:
    """Tables of entities for people, on stdout, and errors on stderr."""

    done = 0

    def __init__(self) -> None:
        self._rows: list[tuple[int, Entity]] = []
        self._texts = self._shown = self._failed = 0

    def check(self, text: str | None) -> bool:
        """Nothing was written before."""
        del text
        return True

    def write(self, record: Record) -> None:
        """Take a record; print what has gathered when it fills a table."""
        self._texts += 1
        self._rows += [(self._texts, entity) for entity in record.document.entities]
        if record.document.error is not None:
            self._failed += 1
            print(f"hanner: text {self._texts}: {record.document.error.message}", file=sys.stderr)
        if len(self._rows) >= TABLE_ROWS:
            self._print()

    def finish(self) -> None:
        """Print the rest."""
        if self._rows:
            self._print()
        elif not self._shown and not self._failed:
            print(f"No entities in {self._texts:,} text{'s' if self._texts != 1 else ''}.")

    def close(self) -> None:
        """Leave stdout open; it is not ours."""

    def _print(self) -> None:
        from hanner.cli import render  # noqa: PLC0415 - rich takes its time, and pipes do without

        render.console().print(render.table(self._rows))
        self._shown += len(self._rows)
        self._rows.clear()


@contextlib.contextmanager
def telling(path: Path) -> Iterator[None]:
    """Turn trouble with the disk into a sentence."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise HannerError(
            f"{path} cannot be written: {error.strerror}; mend that, and the same command goes on with --resume"
        ) from None
