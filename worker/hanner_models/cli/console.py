"""Helpers of all commands: the console for their output, and exits with an error message."""

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH = 160
MODEL_HELP = "Bundled model, or folder of a package. Default: HANNER_MODEL, else the default model."


def output() -> "Console":
    """Return a console for stdout. It is wide if stdout is not a terminal, so that programs read whole lines."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)


def chosen_model(model: str | None) -> str | None:
    """Return the model that a command was given, else the one in HANNER_MODEL; None for the default model."""
    from hanner.settings import read_variable

    return model or read_variable("model", os.environ) or None


def stop(problem: Exception | str, code: int = 2) -> NoReturn:
    """Print an error message to stderr and exit."""
    print(f"hanner: {problem}", file=sys.stderr)
    raise typer.Exit(code)
