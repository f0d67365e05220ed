"""Entities for people: highlighted in a terminal by colour and by a label, plain text in a pipe."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hanner.cli.doctor.result import CheckResult, Level
from hanner.contract import Entity

STYLES = {"PER": "bold black on bright_yellow", "LOC": "bold black on bright_green", "ORG": "bold black on bright_cyan"}
OTHER = "bold reverse"
"""For types that a model of another kind may know."""


SIGNS = {Level.OK: ("✓", "green"), Level.WARN: ("!", "bold yellow"), Level.FAIL: ("✗", "bold red")}


def marked(text: str, entities: Sequence[Entity], *, colour: bool) -> Text:
    """Return the text with its entities marked: `[马云 PER]`. The label says with words what the colour says."""
    shown = Text()
    end = 0
    for entity in entities:
        shown.append(text[end : entity.start])
        shown.append(f"[{entity.text} {entity.type}]", STYLES.get(entity.type, OTHER) if colour else None)
        end = entity.end
    shown.append(text[end:])
    return shown


def table(rows: Iterable[tuple[int, Entity]]) -> Table:
    """Return a table of entities; each row has the number of its text, from 1."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("text", "entity", "type", "start", "end", "score"):
        shown.add_column(heading, justify="left" if heading in {"entity", "type"} else "right")
    for number, entity in rows:
        style = STYLES.get(entity.type, OTHER)
        shown.add_row(
            str(number),
            Text(entity.text),
            Text(entity.type, style),
            str(entity.start),
            str(entity.end),
            f"{entity.score:.3f}",
        )
    return shown


def finding(what: CheckResult) -> Text:
    """Return a finding of the doctor's, and below it what to do."""
    sign, style = SIGNS[what.level]
    shown = Text.assemble((f"{sign} {what.level:<4}", style), f"  {what.subject:<11} ", what.found)
    if what.mend:
        shown.append(f"\n{'':8}{'':11} → {what.mend}", "bold")
    return shown


def console() -> Console:
    """Return a console on stdout: without a terminal, or with NO_COLOR, it writes plain lines and wraps none."""
    return Console(highlight=False, soft_wrap=True, markup=False)
