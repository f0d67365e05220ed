"""Commands and options of `hanner` in the shell examples of the documentation exist."""

import re
import shlex

import pytest
import typer

from hanner.cli.app import app
from support.markdown import ROOT

PAGES = [ROOT / "README.md", ROOT / "README.zh.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shell_lines(page):
    """Yield the lines of shell examples that call hanner, without what precedes the command."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        for line in block.splitlines():
            if found := re.search(r"(?:^|[ /])hanner( .*)", line):
                yield found[1]


EXAMPLES = [pytest.param(line, id=f"{page.name}:{line.strip()}") for page in PAGES for line in shell_lines(page)]


def find_command(words):
    """Return the command that the words call, and the words that follow it."""
    command = typer.main.get_command(app)
    while words and hasattr(command, "get_command"):
        found = command.get_command(typer.Context(command), words[0])
        assert found, f"no command {words[0]!r}"
        command, words = found, words[1:]
    return command, words


@pytest.mark.parametrize("line", EXAMPLES)
def test_command_and_options_exist(line):
    words = re.split(r" -- | [|;&]", shlex.join(shlex.split(line, comments=True)))[0].split()
    if words[0] == "--install-completion":
        return
    command, words = find_command(words)
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert options <= known | {"-h", "--help"}


def test_there_are_examples():
    assert len(EXAMPLES) > 30
