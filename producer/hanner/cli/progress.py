"""A progress bar on stderr, for people only: with bytes read as its measure, texts per second, and the time left."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol


class Progress(Protocol):
    """Is told of each answered text."""

    def __call__(self, offset: int, *, failed: bool) -> None:
        """Note a text that ends at this byte of the input."""
        ...


@contextlib.contextmanager
def shown(total: int | None, start: int, *, wanted: bool) -> Iterator[Progress]:
    """Show a bar while the context lasts; nothing where stderr is no terminal, or none is wanted.

    Args:
        total: Bytes to be read; None when unknown.
        start: Bytes of texts that an earlier run has answered.
        wanted: False where stdout is written on the same terminal all the time.
    """
    if not wanted or not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console  # noqa: PLC0415 - takes its time
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%" if total else ""),
        TextColumn("{task.fields[texts]:,} texts"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TextColumn("{task.fields[failures]}"),
        *((TimeRemainingColumn(),) if total else ()),
    )
    began, texts, failures = time.monotonic(), 0, 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, completed=start, texts=0, rate=0.0, failures="")

        def note(offset: int, *, failed: bool) -> None:
            nonlocal texts, failures
            texts += 1
            failures += failed
            said = f"{failures:,} failed" if failures else ""
            rate = texts / max(time.monotonic() - began, 1e-3)
            bar.update(task, completed=offset, texts=texts, rate=rate, failures=said)

        yield note


def _silent(offset: int, *, failed: bool) -> None:
    """Say nothing."""
