"""`hanner model train`."""

from pathlib import Path
from typing import Annotated

import typer

from hanner.errors import HannerError
from hanner.utils.packaging import install_hint
from hanner_models.cli.console import stop


def train(
    config: Annotated[Path, typer.Argument(help="TOML file; see worker/hanner_models/train/default.toml.")],
    data: Annotated[Path, typer.Option(help="Folder that the file names in CONFIG are relative to.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run in this folder is resumed.")] = Path(
        "runs/train"
    ),
) -> None:
    """Train a tagger. An interrupted run continues from its last checkpoint when the command is repeated."""
    try:
        from hanner_models.train.config import TrainConfig
        from hanner_models.train.run import TrainingRun
    except ModuleNotFoundError as error:
        stop(f"{error.name} is not installed; training needs it: {install_hint('models')}")
    try:
        folder = TrainingRun(TrainConfig.read(config), data, out).run()
    except HannerError as error:
        stop(error)
    except KeyboardInterrupt:
        stop("interrupted; run the same command again to continue from the last checkpoint", code=130)
    print(folder)
