"""The command line: the commands of this package, and those that other parts add by the group `hanner.commands`."""

import contextlib
import re
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import typer
from typer.core import TyperGroup

from hanner.cli import dead
from hanner.cli.bench import bench
from hanner.cli.demo import demo
from hanner.cli.doctor.command import doctor
from hanner.cli.extract import extract
from hanner.cli.status import status
from hanner.cli.up import up
from hanner.cli.usage_error import Misused
from hanner.cli.version import version
from hanner.errors import HannerError, InvalidSettings, InvalidText, UnknownModel
from hanner.utils.packaging import install_hint

GROUP = "hanner.commands"
FAILED, MISUSED = 1, 2


class Commands(TyperGroup):
    """The built-in commands and the plug-ins', which are imported only when they are used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name all commands."""
        return sorted({*super().list_commands(ctx), *metadata.entry_points(group=GROUP).names})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None when there is none of this name."""
        found = super().get_command(ctx, cmd_name)
        if found is None:
            for entry in metadata.entry_points(group=GROUP, name=cmd_name):
                return load(entry)
        return found


def load(entry: metadata.EntryPoint) -> Any:
    """Return the command of a plug-in: its typer app, or its function; a hint when it cannot be imported."""
    try:
        thing = entry.load()
    except ImportError as error:
        return _hint(entry.name, error)
    app = thing
    if not isinstance(thing, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command(entry.name)(thing)
    command = typer.main.get_command(app)
    command.name = entry.name
    return command


def _hint(name: str, error: ImportError) -> Any:
    from rich.markup import escape  # noqa: PLC0415 - slow to import

    app = typer.Typer(add_completion=False)

    # Whatever stands behind the command's name, the hint is the answer.
    @app.command(
        name,
        help=escape(f"Needs more than is installed: {install_hint(extra_of(error.name))}."),
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )
    def hint() -> None:
        raise HannerError(
            f"`hanner {name}` needs more than is installed ({error}): {install_hint(extra_of(error.name))}"
        )

    return typer.main.get_command(app)


def extra_of(module: str | None) -> str:
    """Name the smallest extra that brings a module; `all` when none is known to."""
    top = (module or "").partition(".")[0].replace("_", "-").lower()
    brings: dict[str, set[str]] = {}
    with contextlib.suppress(metadata.PackageNotFoundError):
        for requirement in metadata.requires("hanner") or []:
            named = re.match(r"[\w.-]+", requirement)
            extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
            if named and extra:
                brings.setdefault(extra[1], set()).add(named[0].replace("_", "-").lower())
    return min((extra for extra, names in brings.items() if top in names), key=lambda e: len(brings[e]), default="all")


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Chinese named-entity recognition from a queue.",
)
app.command()(up)
app.command()(demo)
app.command()(extract)
app.command()(status)
app.add_typer(dead.app, name="dead")
app.command()(doctor)
app.command()(bench)
app.command()(version)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. What goes wrong is one sentence on stderr."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="hanner")
    except HannerError as error:
        print(f"hanner: {error}", file=sys.stderr)
        return MISUSED if isinstance(error, InvalidSettings | InvalidText | UnknownModel | Misused) else FAILED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
