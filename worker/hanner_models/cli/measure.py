"""`hanner model evaluate` and `hanner model card`."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from hanner.errors import HannerError
from hanner_models.cli.console import output, stop


def evaluate(
    files: Annotated[list[Path], typer.Argument(help="Labelled sentences: JSONL, or columns as in CoNLL.")],
    model: Annotated[
        list[Path] | None, typer.Option(help="Folder of a package, may be given again; the bundled one if not given.")
    ] = None,
    train: Annotated[
        list[Path] | None, typer.Option(help="Training file: names that are not in it are measured apart.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print precision, recall and F1 by type, what kind of errors there are, and texts per second on one core."""
    try:
        packages: list[Path | None] = [*model] if model else [None]
        measured = [_evaluate(files, package, train) for package in packages]
    except HannerError as error:
        stop(error)
    if as_json:
        print(json.dumps(_figures(measured), ensure_ascii=False, indent=2))
        return
    from hanner_models.evaluation import report  # noqa: PLC0415

    console = output()
    for package, results in measured:
        console.print(package, highlight=False)
        for name, result in results.items():
            report.print_evaluation(name, result, console)
    if len(files) > 1 or len(measured) > 1:
        console.print(report.summary_table(dict(measured)))


def card(
    package: Annotated[Path | None, typer.Argument(help="Folder of a package; the bundled one if not given.")] = None,
    figures: Annotated[
        Path | None, typer.Option(help="What `hanner model evaluate --json` printed of it; else the manifest's.")
    ] = None,
    into: Annotated[Path | None, typer.Option(help="Markdown file whose <!-- card --> blocks are renewed.")] = None,
    seal: Annotated[
        bool, typer.Option("--seal", help="Write figures, known failures and recipe into the manifest.")
    ] = False,
) -> None:
    """Print a package's card: its data, licences, and figures. Renew the one in a document, and the manifest's."""
    from hanner_inference.package import open_package  # noqa: PLC0415
    from hanner_models.evaluation import card as cards  # noqa: PLC0415

    try:
        opened = open_package(package)
        found = cards.read_figures(figures) if figures else opened.manifest.card.get("figures", {})
        if into:
            cards.renew(into, opened.manifest, found)
        if seal:
            opened = cards.seal_card(opened, found, into)
    except HannerError as error:
        stop(error)
    if into or seal:
        output().print(f"{opened.id}: the card is renewed", highlight=False)
    else:
        print(cards.render(opened.manifest, found))


def _evaluate(files: Sequence[Path], model: Path | None, train: Sequence[Path] | None) -> tuple[str, dict[str, Any]]:
    """Return a package's id, and what was measured by file."""
    from hanner_inference import load  # noqa: PLC0415
    from hanner_models.data.datasets import read_sentences  # noqa: PLC0415
    from hanner_models.evaluation import evaluate as evaluation  # noqa: PLC0415

    known = evaluation.names_in(s for path in train for s in read_sentences(path)) if train else None
    recogniser = load(model)
    results = {}
    for path in files:
        sentences = read_sentences(path)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            advance = partial(progress.advance, progress.add_task(path.name, total=len(sentences)))
            results[path.name] = evaluation.evaluate(recogniser.extract, sentences, known=known, progress=advance)
    return recogniser.package.id, results


def _figures(measured: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    return {
        "models": [
            {"model": package, "files": {name: result.figures() for name, result in results.items()}}
            for package, results in measured
        ]
    }
