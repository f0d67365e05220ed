"""Output for people: highlighted entities, tables and a progress bar.

rich is imported inside the functions: pipes do not need it.
"""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from hanner.results import Entity

STYLES = {"PER": "bold black on bright_yellow", "LOC": "bold black on bright_green", "ORG": "bold black on bright_cyan"}
OTHER_STYLE = "bold reverse"
"""Style of the types that only other models have."""


def pluralize(count: int, noun: str) -> str:
    """Return a number and a noun: `1 text`, `2 texts`."""
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


def console() -> "Console":
    """Return a console on stdout that does not wrap; without a terminal, or with NO_COLOR, it writes plain text."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, markup=False)


def table(*headings: str, right: Iterable[str] = ()) -> "Table":
    """Return an empty table without lines; the columns in `right` are aligned to the right."""
    from rich.table import Table

    aligned_right = set(right)
    empty = Table(box=None, pad_edge=False, header_style="bold", show_header=any(headings))
    for heading in headings:
        empty.add_column(heading, justify="right" if heading in aligned_right else "left")
    return empty


def highlight(text: str, entities: "Sequence[Entity]", *, colour: bool) -> "Text":
    """Return the text with its entities marked: `[马云 PER]`. The label repeats the meaning of the colour."""
    from rich.text import Text

    marked = Text()
    end = 0
    for entity in entities:
        marked.append(text[end : entity.start])
        marked.append(f"[{entity.text} {entity.type}]", STYLES.get(entity.type, OTHER_STYLE) if colour else None)
        end = entity.end
    marked.append(text[end:])
    return marked


def entity_table(rows: "Sequence[tuple[int, str, Entity | None]]") -> "Table":
    """Return a table of entities.

    Args:
        rows: The number of a text from 1, its file, which may be empty, and an entity; None if it has no entities.
    """
    from rich.text import Text

    files = any(file for _, file, _ in rows)
    headings = ("text", *(("file",) if files else ()), "entity", "type", "start", "end", "score")
    filled = table(*headings, right=("text", "start", "end", "score"))
    for number, file, entity in rows:
        place = (str(number), *((Text(file),) if files else ()))
        if entity is None:
            filled.add_row(*place, Text("no entities", "dim"))
            continue
        filled.add_row(
            *place,
            Text(entity.text),
            Text(entity.type, STYLES.get(entity.type, OTHER_STYLE)),
            str(entity.start),
            str(entity.end),
            f"{entity.score:.3f}",
        )
    return filled


class ProgressUpdate(Protocol):
    """A function that is called after each text."""

    def __call__(self, offset: int, *, failed: bool) -> None:
        """Count a text that ends at this byte of the input."""
        ...


@contextlib.contextmanager
def progress_bar(total: int | None, start: int, *, enabled: bool) -> Iterator[ProgressUpdate]:
    """Show a progress bar on stderr while the context lasts, if that is a terminal; yields the update function.

    Args:
        total: Bytes of the input; None if unknown.
        start: Bytes that an earlier run has processed.
        enabled: False if stdout writes to the same terminal.
    """
    if not enabled or not sys.stderr.isatty():
        yield _ignore
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

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

        def update(offset: int, *, failed: bool) -> None:
            nonlocal texts, failures
            texts += 1
            failures += failed
            failure_text = f"{failures:,} failed" if failures else ""
            rate = texts / max(time.monotonic() - began, 1e-3)
            bar.update(task, completed=offset, texts=texts, rate=rate, failures=failure_text)

        yield update


def _ignore(offset: int, *, failed: bool) -> None:
    """Do nothing."""
