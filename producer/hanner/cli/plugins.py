"""Plug-ins of the command line: entry points of other packages, imported only when they are used.

The group `hanner.commands` has commands. The group `hanner.local` has parts of a worker that commands here need.
"""

import contextlib
import re
from functools import cached_property
from importlib import metadata
from typing import Any

import typer

from hanner.cli.group import CommandGroup, skip_conversion
from hanner.errors import HannerError
from hanner.utils.packaging import install_hint

COMMANDS = "hanner.commands"
LOCAL = "hanner.local"


class PluginGroup(CommandGroup):
    """A command group with the built-in commands and those of plug-ins."""

    @cached_property
    def _plugins(self) -> metadata.EntryPoints:
        return metadata.entry_points(group=COMMANDS)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; remove pydantic's prefix from the message of an invalid option."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *self._plugins.names})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; None if there is no command of this name."""
        command = super().get_command(ctx, cmd_name)
        if command is None:
            for entry in self._plugins.select(name=cmd_name):
                command = load_command(entry)
                return skip_conversion(command, ctx) if ctx.resilient_parsing else command
        return command


def load_command(entry: metadata.EntryPoint) -> Any:
    """Return the command of a plug-in, a typer app or a function; if it cannot be imported, one that prints a hint."""
    try:
        plugin = entry.load()
    except ImportError as error:
        return _hint_command(entry.name, error)
    app = plugin
    if not isinstance(plugin, typer.Typer):
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(entry.name)(plugin)
    command = typer.main.get_command(app)
    command.name = entry.name
    return command


def _hint_command(name: str, error: ImportError) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    # Accepts any arguments, so that the hint is printed whatever follows the command's name.
    @app.command(
        name,
        help=f"Not installed: {install_hint(extra_of(error.name))}.",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )
    def hint() -> None:
        raise HannerError(f"`hanner {name}` is not installed ({error}): {install_hint(extra_of(error.name))}")

    return typer.main.get_command(app)


def extra_of(module: str | None) -> str:
    """Return the smallest extra that installs a module; `all` if none is known."""
    return find_extra(module) or "all"


def find_extra(module: str | None) -> str | None:
    """Return the smallest extra that installs a module; None if none is known."""
    top = (module or "").partition(".")[0].replace("_", "-").lower()
    packages: dict[str, set[str]] = {}
    with contextlib.suppress(metadata.PackageNotFoundError):
        for requirement in metadata.requires("hanner") or []:
            name = re.match(r"[\w.-]+", requirement)
            extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
            if name and extra:
                packages.setdefault(extra[1], set()).add(name[0].replace("_", "-").lower())
    matching = (extra for extra, names in packages.items() if top in names)
    return min(matching, key=lambda extra: len(packages[extra]), default=None)


def load_local(name: str) -> Any:
    """Return the entry point of this name in the group `hanner.local`.

    Raises:
        HannerError: the packages it needs are not installed.
    """
    for entry in metadata.entry_points(group=LOCAL, name=name):
        try:
            return entry.load()
        except ImportError as error:
            raise HannerError(f"{error.name} is not installed: {install_hint('worker')}") from None
    raise HannerError(f"the entry point {name!r} of {LOCAL} is missing; reinstall hanner")
