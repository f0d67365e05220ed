"""`hanner model distil`."""

from pathlib import Path
from typing import Annotated

import typer

from hanner_models.cli.console import models_extra, output, print_step, resume_hint, stop_on_error


def distil(
    config: Annotated[Path, typer.Argument(help="TOML file; see worker/hanner_models/distil/hanner-small.toml.")],
    out: Annotated[Path, typer.Argument(help="Folder of the package to create.")],
    data: Annotated[Path, typer.Option(help="Folder that the file names in CONFIG are relative to.")],
    teacher: Annotated[
        str, typer.Option(help="Model to learn from: `default`, another bundled model, or the folder of a package.")
    ] = "default",
    student: Annotated[
        str,
        typer.Option(
            help="Model to start from: a bundled model, or the folder of a package, a training run or a tagger."
        ),
    ] = "hanner-small",
    name: Annotated[str | None, typer.Option(help="Name of the model. Default: that in CONFIG.")] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(help="Real texts (.txt, .jsonl) to calibrate INT8 with. Default: built-in sentences."),
    ] = None,
    verify: Annotated[
        list[Path] | None, typer.Option(help="Labelled JSONL file to compare INT8 with FP32 on; can be repeated.")
    ] = None,
    scheme: Annotated[str, typer.Option(help="Scaling of activations: static, smooth, token or auto.")] = "auto",
    fold_traditional: Annotated[
        bool,
        typer.Option("--fold-traditional", help="Replace traditional characters by simplified ones before the model."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write the package even if INT8 differs too much from FP32.")
    ] = False,
) -> None:
    """Train a small model on the answers of an accurate one, and convert it to a package.

    An interrupted run continues from its last checkpoint when the command is repeated.
    """
    with models_extra("distillation"):
        from hanner_models.conversion.convert import parse_scheme
        from hanner_models.distil.run import DistilRun, open_teacher
        from hanner_models.train.config import DistilRunConfig
    with stop_on_error(interrupted=resume_hint(Path(f"{out}.run"))):
        read = DistilRunConfig.read(config)
        package = DistilRun(
            read,
            data,
            open_teacher(teacher),
            student,
            out,
            name or read.name,
            calibrate,
            verify or [],
            parse_scheme(scheme),
            fold_traditional,
            force,
            print_step,
        ).run()
    from hanner_models.evaluation.report import print_package

    print_package(package, output())
