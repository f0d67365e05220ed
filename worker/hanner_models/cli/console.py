"""What the commands share: where they print, and how they end."""

import sys
from typing import NoReturn

import typer
from rich.console import Console

_WIDE = 160


def output() -> Console:
    """Return a console that breaks no lines where nobody looks: what is piped is read by programs."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDE)


def stop(problem: Exception | str, code: int = 2) -> NoReturn:
    """Print one sentence and end."""
    print(f"hanner: {problem}", file=sys.stderr)
    raise typer.Exit(code)
