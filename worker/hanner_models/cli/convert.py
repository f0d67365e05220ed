"""`hanner model convert`, and `hanner model fetch`, which downloads a model first."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hanner.errors import HannerError
from hanner_models.cli.console import output, stop_on_error

if TYPE_CHECKING:
    from hanner_models.source import Source

_DEFAULT_MODEL = (
    "iic/nlp_raner_named-entity-recognition_chinese-base-news"  # as hanner_models.fetch, without its imports
)
_NAME = Annotated[str | None, typer.Option(help="Name of the model. Default: the name of the folder.")]
_CALIBRATE = Annotated[
    Path | None,
    typer.Option(help="Real texts (.txt, .jsonl) to calibrate INT8 with. Default: built-in sentences."),
]
_VERIFY = Annotated[
    list[Path] | None, typer.Option(help="Labelled JSONL file to compare INT8 with FP32 on; can be repeated.")
]
_SCHEME = Annotated[
    str, typer.Option(help="Scaling of activations: static, smooth or token; auto chooses the fastest accurate one.")
]
_STRENGTH = Annotated[
    float | None,
    typer.Option(
        min=0.05,
        max=0.95,
        help="With --scheme smooth or token: share of the outliers that moves into the weights. "
        "Default: the one with more equal labels of 0.7 and 0.8, and 0.5 for token.",
    ),
]
_FOLD = Annotated[
    bool,
    typer.Option("--fold-traditional", help="Replace traditional characters by simplified ones before the model."),
]
_DATA = Annotated[
    Path | None,
    typer.Option(
        help="For a run of `hanner model teach`: the folder of its data. Pieces and characters that do not occur in "
        "the `vocabulary` files of the run are dropped."
    ),
]
_MAX_MB = Annotated[
    float | None,
    typer.Option(help="With --data: drop the rarest pieces and characters too, until the package is this small."),
]
_FORCE = Annotated[bool, typer.Option("--force", help="Write the package even if INT8 differs too much from FP32.")]


@dataclass(frozen=True)
class _Options:
    """Options that convert and fetch share."""

    calibrate: Path | None
    verify: list[Path]
    scheme: str
    fold_traditional: bool
    force: bool
    data: Path | None = None
    max_mb: float | None = None
    strength: float | None = None


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            help="Folder of a trained tagger from ModelScope or transformers, or of a run of `hanner model teach`.",
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Folder of the package to create.")],
    name: _NAME = None,
    calibrate: _CALIBRATE = None,
    verify: _VERIFY = None,
    scheme: _SCHEME = "auto",
    strength: _STRENGTH = None,
    fold_traditional: _FOLD = False,
    force: _FORCE = False,
    data: _DATA = None,
    max_mb: _MAX_MB = None,
) -> None:
    """Quantise a trained tagger to INT8, compare it with FP32, and write a package."""
    options = _Options(calibrate, verify or [], scheme, fold_traditional, force, data, max_mb, strength)
    with stop_on_error(interrupted="no package was written"):
        _convert(source, out, name or out.name, {}, options)


def fetch(
    model: Annotated[str, typer.Argument(metavar="[ID]", help="Model on ModelScope, as owner/name.")] = _DEFAULT_MODEL,
    revision: Annotated[str, typer.Option(help="Branch or tag of the model.")] = "master",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the package to create. Default: the model's name.")
    ] = None,
    name: _NAME = None,
    calibrate: _CALIBRATE = None,
    verify: _VERIFY = None,
    scheme: _SCHEME = "auto",
    fold_traditional: _FOLD = False,
    force: _FORCE = False,
) -> None:
    """Download a model from ModelScope and convert it. An interrupted download is resumed."""
    from hanner_models import fetch as hub
    from hanner_models.conversion.convert import check_output

    out = out or Path(model.rpartition("/")[2] or "model")
    with stop_on_error(interrupted="run the same command again to resume"):
        check_output(out)
        folder = hub.fetch(model, revision)
        origin = {"source": model, "revision": revision}
        _convert(
            folder, out, name or out.name, origin, _Options(calibrate, verify or [], scheme, fold_traditional, force)
        )


def _convert(source: Path, out: Path, name: str, origin: dict[str, Any], options: _Options) -> None:
    from rich.console import Console

    from hanner_models.conversion import convert as conversion
    from hanner_models.data.datasets import read_sentences, sample_texts
    from hanner_models.evaluation.report import print_package
    from hanner_models.source import read_source

    conversion.check_output(out)
    scheme = conversion.parse_scheme(options.scheme)
    if options.max_mb is not None and not options.data:
        raise HannerError("--max-mb needs --data, the folder of the training data")
    texts = sample_texts(options.calibrate, conversion.MAX_CALIBRATION_TEXTS) if options.calibrate else None
    verification = {path.name: read_sentences(path) for path in options.verify}
    with Console(stderr=True).status("reading the model") as status:
        tagger = read_source(source)
        if options.fold_traditional:
            prepared = tagger.options.model_copy(update={"fold_traditional": True})
            tagger = replace(tagger, options=prepared)
        if options.data:
            status.update("counting pieces and characters")
            tagger = _cut_vocabulary(tagger, options.data, options.max_mb)
        package = conversion.convert(
            replace(tagger, training=tagger.training | origin),
            out,
            name=name,
            calibration=texts,
            verification=verification,
            scheme=scheme,
            strength=options.strength,
            force=options.force,
            progress=status.update,
        )
    print_package(package, output())


def _cut_vocabulary(tagger: "Source", data: Path, max_mb: float | None) -> "Source":
    """Return the tagger with the pieces and characters that occur in the vocabulary files of its run."""
    from hanner_models.conversion.vocabulary import count_usage, cut_vocabulary
    from hanner_models.data.datasets import read_texts

    names = tagger.training.get("config", {}).get("vocabulary", ())
    usage = count_usage(tagger, (text for name in names for text in read_texts(data / name)))
    return cut_vocabulary(tagger, usage, None if max_mb is None else max_mb * 1e6)
