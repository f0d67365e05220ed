"""`hanner model finetune`."""

from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.console import Console

from hanner.errors import HannerError
from hanner.utils.packaging import install_hint
from hanner_models.cli.console import output, stop


def finetune(
    base: Annotated[
        str,
        typer.Argument(help="Where to start: `default`, or the folder of a package, a training run, a tagger."),
    ],
    data: Annotated[Path, typer.Argument(help="Labelled sentences to learn from: JSONL, or columns as in CoNLL.")],
    out: Annotated[Path, typer.Argument(help="Folder of the package to make.")],
    dev: Annotated[
        Path | None,
        typer.Option(help="Labelled sentences to choose weights by and to measure with."),
    ] = None,
    hold_out: Annotated[float, typer.Option(help="Share of DATA to use so if there is no --dev; 0: none.")] = 0.1,
    lora: Annotated[
        bool, typer.Option("--lora", help="Train low-rank adapters and the head, not all weights.")
    ] = False,
    epochs: Annotated[float | None, typer.Option(help="Times each sentence is seen.", show_default="5")] = None,
    steps: Annotated[int | None, typer.Option(help="Batches to learn from, instead of --epochs.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest learning rate.", show_default="by method and width of the encoder")
    ] = None,
    batch_tokens: Annotated[int, typer.Option(help="Tokens of a batch, padding included.")] = 1024,
    blend: Annotated[float, typer.Option(help="Share of the tuned weights; the rest is the base's.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of all that is drawn at random.")] = 1,
    name: Annotated[str | None, typer.Option(help="Name of the model; the folder's name if not given.")] = None,
    scheme: Annotated[str, typer.Option(help="Scales of activations: static, smooth, token, auto.")] = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Write the package even if INT8 is too far from FP32.")
    ] = False,
) -> None:
    """Teach a model with labelled sentences of your own, and make a package of it: train, merge, quantise, verify.

    Interrupt it at any time: the same command goes on from the last checkpoint.
    """
    try:
        from hanner_models.conversion.convert import Scheme  # noqa: PLC0415
        from hanner_models.finetune.job import Job  # noqa: PLC0415
        from hanner_models.finetune.options import Options  # noqa: PLC0415
    except ImportError as error:
        missing = getattr(error, "name", None) or "a library"
        stop(f"{missing} is not installed; fine-tuning needs it: {install_hint('models')}")
    if scheme not in get_args(Scheme):
        stop(f"--scheme must be one of {', '.join(get_args(Scheme))}, and is {scheme!r}")
    stderr = Console(stderr=True)
    try:
        options = Options(lora, epochs, steps, learning_rate, batch_tokens, blend=blend, seed=seed)
        job = Job(base, data, out, options, dev, hold_out, name, cast("Scheme", scheme), force)
        outcome = job.finish(lambda words: stderr.print(words, highlight=False))
    except HannerError as error:
        stop(error)
    except KeyboardInterrupt:
        stop(f"interrupted; the same command goes on from the last checkpoint, in {out}.run", code=130)
    from hanner_models.evaluation.report import comparison_table, print_package  # noqa: PLC0415

    console = output()
    print_package(outcome.package, console)
    if outcome.measured:
        console.print("\non sentences it did not learn from:")
        console.print(comparison_table(outcome.measured))
