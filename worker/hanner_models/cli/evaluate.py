"""`hanner model evaluate`."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from hanner_models.cli.console import MODEL_HELP, output, stop_on_error


def evaluate(
    files: Annotated[list[Path], typer.Argument(help="Labelled sentences: JSONL, or columns as in CoNLL.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help=f"{MODEL_HELP} Can be repeated."),
    ] = None,
    train: Annotated[
        list[Path] | None,
        typer.Option(help="Training file; can be repeated. Names that are not in it are counted separately."),
    ] = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Also print how often entities with a given score are correct.")
    ] = False,
    traditional: Annotated[
        bool, typer.Option("--traditional", help="Convert the texts to traditional characters first.")
    ] = False,
    guideline: Annotated[
        bool, typer.Option("--guideline", help="Change labels to the bundled models' guideline, as for their training.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Print precision, recall and F1 by type, the kinds of errors, and texts per second on one core."""
    with stop_on_error():
        packages: list[str | None] = [*model] if model else [None]
        options = {"traditional": traditional, "guideline": guideline}
        results = [_evaluate(files, package, train, **options) for package in packages]
    if as_json:
        print(json.dumps(_to_dict(results), ensure_ascii=False, indent=2))
        return
    from hanner_models.evaluation import report

    console = output()
    for package, by_file in results:
        console.print(package, highlight=False)
        for name, result in by_file.items():
            report.print_evaluation(name, result, console, with_scores=scores)
    if len(files) > 1 or len(results) > 1:
        console.print(report.summary_table(dict(results)))


def _evaluate(
    files: Sequence[Path], model: str | None, train: Sequence[Path] | None, *, traditional: bool, guideline: bool
) -> tuple[str, dict[str, Any]]:
    """Return the package's id, and the evaluation of each file by the file's name."""
    from rich.console import Console
    from rich.progress import Progress

    from hanner_inference import load
    from hanner_models.data.datasets import Sentence, read_sentences
    from hanner_models.data.traditional import traditional_converter
    from hanner_models.evaluation import evaluate as evaluation
    from hanner_models.train.guideline import apply_guideline

    known = evaluation.known_names(s for path in train for s in read_sentences(path)) if train else None
    convert = traditional_converter() if traditional else None
    recogniser = load(model)
    by_file = {}
    for path in files:
        sentences = read_sentences(path)
        if guideline:
            sentences = list(map(apply_guideline, sentences))
        if convert is not None:
            sentences = [Sentence(convert(sentence.text), sentence.spans) for sentence in sentences]
        with Progress(console=Console(stderr=True), transient=True) as progress:
            advance = partial(progress.advance, progress.add_task(path.name, total=len(sentences)))
            by_file[path.name] = evaluation.evaluate(recogniser.extract, sentences, known=known, progress=advance)
    return recogniser.package.id, by_file


def _to_dict(results: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    return {
        "models": [
            {"model": package, "files": {name: result.to_dict() for name, result in by_file.items()}}
            for package, by_file in results
        ]
    }
