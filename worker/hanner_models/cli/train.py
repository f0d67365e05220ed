"""`hanner model train`."""

from pathlib import Path
from typing import Annotated

import typer

from hanner_models.cli.console import models_extra, resume_hint, stop_on_error


def train(
    config: Annotated[Path, typer.Argument(help="TOML file; see worker/hanner_models/train/default.toml.")],
    data: Annotated[Path, typer.Option(help="Folder that the file names in CONFIG are relative to.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run in this folder is resumed.")] = Path(
        "runs/train"
    ),
) -> None:
    """Train a tagger. An interrupted run continues from its last checkpoint when the command is repeated."""
    with models_extra("training"):
        from hanner_models.train.config import TrainConfig
        from hanner_models.train.run import TrainingRun
    with stop_on_error(interrupted=resume_hint(out)):
        folder = TrainingRun(TrainConfig.read(config), data, out).run()
    print(folder)
