"""Helpers of all commands: the console for their output, and exits with an error message."""

import sys
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH = 160


def output() -> "Console":
    """Return a console for stdout. It is wide if stdout is not a terminal, so that programs read whole lines."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)


def stop(problem: Exception | str, code: int = 2) -> NoReturn:
    """Print an error message to stderr and exit."""
    print(f"hanner: {problem}", file=sys.stderr)
    raise typer.Exit(code)
