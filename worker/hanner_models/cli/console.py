"""Helpers of all commands: the console for their output, and exits with an error message."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from hanner.errors import HannerError
from hanner.utils.packaging import install_hint

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


@contextmanager
def stop_on_error(interrupted: str | None = None) -> Iterator[None]:
    """Exit with the message of an error of hanner, or after Ctrl-C with `interrupted` if it is given."""
    try:
        yield
    except HannerError as error:
        stop(error)
    except KeyboardInterrupt:
        if interrupted is None:
            raise
        stop(f"interrupted; {interrupted}", code=130)


def resume_hint(folder: Path) -> str:
    """Return what to do after Ctrl-C in a run that has its checkpoints in a folder."""
    return f"run the same command again to continue from the last checkpoint in {folder}"


@contextmanager
def models_extra(purpose: str) -> Iterator[None]:
    """Exit with the command that installs the extra `models` if an import fails."""
    try:
        yield
    except ImportError as error:
        stop(f"{error.name or 'a library'} is not installed; {purpose} needs it: {install_hint('models')}")


def print_step(step: str) -> None:
    """Print a step of a long command to stderr. A progress bar shows it above itself."""
    print(step, file=sys.stderr, flush=True)
