"""`nerq model …`: train, convert, evaluate, inspect. Imports torch only to train."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from nerq.errors import NerqError

if TYPE_CHECKING:
    from nerq_models.evaluate import Evaluation
    from nerq_worker.store import ModelPackage

app = typer.Typer(no_args_is_help=True, help="Work on model packages: train, convert, evaluate, inspect.")
_MODEL = Annotated[Path | None, typer.Option(help="Folder of a model package; the bundled one if not given.")]


@app.command()
def evaluate(
    files: Annotated[list[Path], typer.Argument(help="Labelled sentences, JSONL.")], model: _MODEL = None
) -> None:
    """Print precision, recall and F1 by type, and texts per second on one core."""
    try:
        _evaluate(files, model)
    except NerqError as error:
        _stop(error)


@app.command()
def inspect(model: Annotated[Path | None, typer.Argument(help="Folder of a package.")] = None) -> None:
    """Check a package and print what its manifest says."""
    from nerq_worker.store import open_package  # noqa: PLC0415

    try:
        package = open_package(model)
    except NerqError as error:
        _stop(error)
    console = Console()
    console.print(f"{package.id}  {package.path}  {_megabytes(package):.1f} MB", highlight=False)
    console.print_json(package.manifest.model_dump_json())


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of a trained tagger.")],
    out: Annotated[Path, typer.Argument(help="Folder of the package to make.")],
    calibrate: Annotated[Path, typer.Option(help="Real texts (.txt or .jsonl) that the INT8 ranges are taken from.")],
    name: Annotated[str | None, typer.Option(help="Name of the model; OUT's name if not given.")] = None,
    verify: Annotated[list[Path] | None, typer.Option(help="Labelled JSONL to compare INT8 with FP32 on.")] = None,
) -> None:
    """Quantise a trained tagger to INT8, compare it with FP32, write the package."""
    from nerq_models import convert as conversion  # noqa: PLC0415
    from nerq_models.labelled import read_sentences, sample_texts  # noqa: PLC0415

    try:
        texts = sample_texts(calibrate, conversion.CALIBRATION_TEXTS)
        labelled = {path.name: read_sentences(path) for path in verify or []}
        package = conversion.convert(
            conversion.read_source(source), out, name=name or out.name, calibration=texts, verification=labelled
        )
    except NerqError as error:
        _stop(error)
    console = Console()
    console.print(f"{package.id}  {package.path}  {_megabytes(package):.1f} MB", highlight=False)
    for file, figures in package.manifest.verification.items():
        console.print(
            f"{file}: F1 {figures['f1']:.4f} in INT8, {figures['fp32_f1']:.4f} in FP32; "
            f"{figures['same_entities']:.2%} of {figures['texts']:,} texts with the same entities",
            highlight=False,
        )


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="TOML file, see worker/nerq_models/train/default.toml.")],
    data: Annotated[Path, typer.Option(help="Folder that the configuration's file names are relative to.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run there goes on.")] = Path(
        "runs/train"
    ),
) -> None:
    """Train a tagger. Interrupt it at any time: the same command goes on from the last checkpoint."""
    try:
        from nerq_models.train.config import TrainConfig  # noqa: PLC0415
        from nerq_models.train.run import Run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        _stop(f"{error.name} is not installed; training needs it: pip install 'nerq[models]'")
    try:
        folder = Run(TrainConfig.read(config), data, out).finish()
    except NerqError as error:
        _stop(error)
    except KeyboardInterrupt:
        _stop("interrupted; the same command goes on from the last checkpoint", code=130)
    print(folder)  # noqa: T201


def _evaluate(files: list[Path], model: Path | None) -> None:
    from nerq_models import evaluate as evaluation  # noqa: PLC0415
    from nerq_models.labelled import read_sentences  # noqa: PLC0415
    from nerq_worker import load  # noqa: PLC0415

    recogniser = load(model)
    console = Console()
    console.print(recogniser.package.id, highlight=False)
    for path in files:
        sentences = read_sentences(path)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            advance = partial(progress.advance, progress.add_task(path.name, total=len(sentences)))
            result = evaluation.evaluate(recogniser.extract, sentences, progress=advance)
        console.print(_report(path, result))


def _report(path: Path, result: "Evaluation") -> Table:
    rate = f"{result.texts / result.seconds:,.0f} texts/s, {result.characters / result.seconds:,.0f} characters/s"
    table = Table(title=f"{path.name}: {result.texts:,} texts, {rate}", title_justify="left", title_style="")
    for column in ("type", "precision", "recall", "F1", "names", "found"):
        table.add_column(column, justify="left" if column == "type" else "right")
    for kind, counts in [*sorted(result.types.items()), ("all", result.total)]:
        figures = (f"{value:.4f}" for value in (counts.precision, counts.recall, counts.f1))
        table.add_row(kind, *figures, f"{counts.gold:,}", f"{counts.predicted:,}")
    return table


def _megabytes(package: "ModelPackage") -> float:
    return sum(record.bytes for record in package.manifest.files.values()) / 1e6


def _stop(problem: NerqError | str, code: int = 2) -> NoReturn:
    print(f"nerq: {problem}", file=sys.stderr)  # noqa: T201
    raise typer.Exit(code)
