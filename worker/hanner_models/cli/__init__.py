"""`hanner model …`. Imports torch only where it must."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer
from rich.console import Console

from hanner.errors import HannerError
from hanner.utils.packaging import install_hint
from hanner_models.cli.console import output, stop
from hanner_models.cli.finetune import finetune
from hanner_models.cli.measure import card, evaluate

app = typer.Typer(no_args_is_help=True, help="Work on model packages: fetch, convert, measure, fine-tune, train.")
_DEFAULT = "iic/nlp_raner_named-entity-recognition_chinese-base-news"
_NAME = Annotated[str | None, typer.Option(help="Name of the model; the folder's name if not given.")]
_CALIBRATE = Annotated[
    Path | None, typer.Option(help="Real texts (.txt, .jsonl) for the INT8 ranges; built-in ones if not given.")
]
_VERIFY = Annotated[list[Path] | None, typer.Option(help="Labelled JSONL to compare INT8 with FP32 on.")]
_SCHEME = Annotated[str, typer.Option(help="Scales of activations: static, smooth, token; auto tries them in turn.")]
_FORCE = Annotated[bool, typer.Option("--force", help="Write the package even if INT8 is too far from FP32.")]


app.command()(evaluate)
app.command()(card)
app.command()(finetune)


@app.command()
def inspect(
    model: Annotated[Path | None, typer.Argument(help="Folder of a package; the bundled one if not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as it is.")] = False,
) -> None:
    """Check a package and print what its manifest says, with the figures of INT8 against FP32."""
    from hanner_inference.package import open_package  # noqa: PLC0415
    from hanner_models.evaluation.report import print_package  # noqa: PLC0415

    try:
        package = open_package(model)
    except HannerError as error:
        stop(error)
    if as_json:
        print(package.manifest.model_dump_json(indent=2))
    else:
        print_package(package, output())


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of a tagger: ModelScope's, transformers'.")],
    out: Annotated[Path, typer.Argument(help="Folder of the package to make.")],
    name: _NAME = None,
    calibrate: _CALIBRATE = None,
    verify: _VERIFY = None,
    scheme: _SCHEME = "auto",
    force: _FORCE = False,
) -> None:
    """Quantise a trained tagger to INT8, compare it with FP32, write the package."""
    try:
        _convert(source, out, name or out.name, {}, _Options(calibrate, verify or [], scheme, force))
    except HannerError as error:
        stop(error)
    except KeyboardInterrupt:
        stop("interrupted; nothing was written", code=130)


@app.command()
def fetch(
    model: Annotated[str, typer.Argument(metavar="[ID]", help="Model of the hub, owner/name.")] = _DEFAULT,
    revision: Annotated[str, typer.Option(help="Branch or tag of the model.")] = "master",
    out: Annotated[Path | None, typer.Option(help="Folder of the package to make; the model's name here.")] = None,
    name: _NAME = None,
    calibrate: _CALIBRATE = None,
    verify: _VERIFY = None,
    scheme: _SCHEME = "auto",
    force: _FORCE = False,
) -> None:
    """Download a model from ModelScope, or the rest of one, and convert it."""
    from hanner_models import fetch as hub  # noqa: PLC0415
    from hanner_models.conversion.convert import check_out  # noqa: PLC0415

    out = out or Path(model.rpartition("/")[2] or "model")
    try:
        check_out(out)
        folder = hub.fetch(model, revision)
        origin = {"source": model, "revision": revision}
        _convert(folder, out, name or out.name, origin, _Options(calibrate, verify or [], scheme, force))
    except HannerError as error:
        stop(error)
    except KeyboardInterrupt:
        stop("interrupted; the same command goes on where it stopped", code=130)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="TOML file, see worker/hanner_models/train/default.toml.")],
    data: Annotated[Path, typer.Option(help="Folder that the configuration's file names are relative to.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run there goes on.")] = Path(
        "runs/train"
    ),
) -> None:
    """Train a tagger. Interrupt it at any time: the same command goes on from the last checkpoint."""
    try:
        from hanner_models.train.config import TrainConfig  # noqa: PLC0415
        from hanner_models.train.run import Run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        stop(f"{error.name} is not installed; training needs it: {install_hint('models')}")
    try:
        folder = Run(TrainConfig.read(config), data, out).finish()
    except HannerError as error:
        stop(error)
    except KeyboardInterrupt:
        stop("interrupted; the same command goes on from the last checkpoint", code=130)
    print(folder)


@dataclass(frozen=True)
class _Options:
    """Options that convert and fetch share."""

    calibrate: Path | None
    verify: list[Path]
    scheme: str
    force: bool


def _convert(source: Path, out: Path, name: str, origin: dict[str, Any], options: _Options) -> None:
    from hanner_models.conversion import convert as conversion  # noqa: PLC0415
    from hanner_models.data.datasets import read_sentences, sample_texts  # noqa: PLC0415
    from hanner_models.evaluation.report import print_package  # noqa: PLC0415

    conversion.check_out(out)
    if options.scheme not in get_args(conversion.Scheme):
        raise HannerError(
            f"--scheme must be one of {', '.join(get_args(conversion.Scheme))}, and is {options.scheme!r}"
        )
    texts = sample_texts(options.calibrate, conversion.CALIBRATION_TEXTS) if options.calibrate else None
    labelled = {path.name: read_sentences(path) for path in options.verify}
    with Console(stderr=True).status("reading the model") as status:
        tagger = conversion.read_source(source)
        package = conversion.convert(
            replace(tagger, training=tagger.training | origin),
            out,
            name=name,
            calibration=texts,
            verification=labelled,
            scheme=cast("conversion.Scheme", options.scheme),
            force=options.force,
            progress=status.update,
        )
    print_package(package, output())
