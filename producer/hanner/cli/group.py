"""A group of commands whose help has the whole first sentence of each command."""

from typing import Any

from typer.core import TyperGroup


class CommandGroup(TyperGroup):
    """A command group that does not cut the sentences in its help."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write names and first sentences of all commands, wrapped to the width of the terminal."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.get_short_help_str(1000)) for name, command in commands if command and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
