"""A group of commands whose help has the whole first sentence of each command, and whose start is fast."""

from typing import Any

from typer.core import TyperGroup


class CommandGroup(TyperGroup):
    """A command group that does not cut the sentences in its help.

    Typer imports pydantic to convert the first value of an option, even the missing value of a flag. This takes as long
    as everything else that help and shell completion do. Completion needs only the names of the options that are set.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the group's own options, and return the rest."""
        for param in self.get_params(ctx):
            if getattr(param, "is_flag", False) and param.default is None:
                param.default = False
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; None if there is no command of this name."""
        command = super().get_command(ctx, cmd_name)
        return skip_conversion(command, ctx) if command and ctx.resilient_parsing else command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write names and first sentences of all commands, wrapped to the width of the terminal."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.get_short_help_str(1000)) for name, command in commands if command and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def skip_conversion(command: Any, ctx: Any) -> Any:
    """Return a command whose options have their values as typed; only for completion, which does not run it."""
    for param in command.get_params(ctx):
        param.process_value = lambda _ctx, value: value
    return command
