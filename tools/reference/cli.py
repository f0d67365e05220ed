"""The page of all commands and options, from the typer application."""

import enum
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer

from hanner.cli.app import app
from reference.markdown import block, code, page, table

INTRODUCTION = """\
# Command line

The commands of `hanner`, with their help texts. All of them are installed with the extra `all`, except
that some of `hanner model` need the extra `models` or `train`. Settings are read from [environment
variables](settings.md). Every command has `--help`. `hanner --install-completion` installs shell completion."""

COMPLETION = {"install_completion", "show_completion"}
"""Parameters that typer adds to each application; the introduction describes them."""
VALUES = {Path: "PATH", int: "INTEGER", float: "NUMBER"}


def render() -> str:
    """Return the page."""
    root = typer.main.get_command(app)
    context = _context(root, None, "hanner")
    commands = list(_commands(root, context))
    overview = table(
        ["command", "what it does"],
        [(f"[`{path}`](#{path.replace(' ', '-')})", _first_sentence(command)) for path, command in commands],
    )
    return page(INTRODUCTION, overview, *(_section(*command) for command in commands))


def _context(command: Any, parent: Any, name: str) -> Any:
    return command.context_class(command, info_name=name, parent=parent, help_option_names=["-h", "--help"])


def _commands(group: Any, context: Any) -> Iterator[tuple[str, Any]]:
    """Yield path and command of all commands that do something themselves, in alphabetical order."""
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        inner = _context(command, context, name)
        if hasattr(command, "list_commands"):
            yield from _commands(command, inner)
        else:
            yield inner.command_path, command


def _first_sentence(command: Any) -> str:
    first = _help(command).split("\n\n")[0]
    return " ".join(first.split())


def _help(command: Any) -> str:
    return str(command.help or "").replace("\b", "").strip()


def _section(path: str, command: Any) -> str:
    parameters = [p for p in command.params if not getattr(p, "hidden", False) and p.name not in COMPLETION]
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    options = [p for p in parameters if p.param_type_name == "option"]
    usage = [path, *(["[OPTIONS]"] if options else []), *map(_usage, arguments)]
    parts = [f"## {path}", _help(command), block(" ".join(usage), "text")]
    if arguments:
        parts.append(table(["argument", "meaning"], [(code(_metavar(p)), p.help or "") for p in arguments]))
    if options:
        hints = get_type_hints(inspect.unwrap(command.callback))
        parts.append(table(["option", "meaning"], [(code(_names(p, hints.get(p.name))), _meaning(p)) for p in options]))
    return "\n\n".join(parts)


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper()).strip("[]…")


def _usage(argument: Any) -> str:
    name = _metavar(argument) + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _names(option: Any, annotation: Any) -> str:
    """Return the names of an option, short ones first, with its value: `-c, --concurrency N`."""
    names = ", ".join(sorted(option.opts, key=lambda name: (len(name) - len(name.lstrip("-")), name)))
    if option.secondary_opts:
        return f"{names} / {', '.join(option.secondary_opts)}"
    if option.is_flag:
        return names
    return f"{names} {option.metavar or _value(annotation)}"


def _value(annotation: Any) -> str:
    """Return the value that an option takes: its choices, or a word for its type."""
    if choices := _choices(annotation):
        return "|".join(choices)
    types = {annotation, *get_args(annotation)} | {part for each in get_args(annotation) for part in get_args(each)}
    return next((word for kind, word in VALUES.items() if kind in types), "TEXT")


def _choices(annotation: Any) -> list[str]:
    """Return the values of the enums and literals in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return [str(member.value) for member in annotation]
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    return [choice for part in get_args(annotation) for choice in _choices(part)]


def _meaning(option: Any) -> str:
    """Return the help text of an option, with its default, unless the text names it or there is none."""
    text = option.help or ""
    default = option.default
    if option.required:
        return f"{text} Required."
    if default is None or callable(default) or option.is_flag or default in ("", ()) or "Default:" in text:
        return text + (" Repeatable." if option.multiple and "epeat" not in text else "")
    return f"{text} Default: {code(getattr(default, 'value', default))}."
