"""`hanner model …`, one module per command. The commands import numpy, onnx and torch only when they run."""

import typer

from hanner.cli.group import CommandGroup
from hanner_models.cli.bundled import list_models
from hanner_models.cli.card import card
from hanner_models.cli.convert import convert, fetch
from hanner_models.cli.distil import distil
from hanner_models.cli.evaluate import evaluate
from hanner_models.cli.finetune import finetune
from hanner_models.cli.inspect import inspect
from hanner_models.cli.teach import teach, unpack
from hanner_models.cli.train import train

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Manage model packages: list, download, convert, evaluate, fine-tune, train, distil.",
)
app.command("list")(list_models)
for command in (inspect, fetch, convert, evaluate, card, finetune, train, unpack, teach, distil):
    app.command()(command)
