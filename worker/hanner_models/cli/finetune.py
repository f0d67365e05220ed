"""`hanner model finetune`."""

from pathlib import Path
from typing import Annotated

import typer

from hanner_models.cli.console import models_extra, output, print_step, resume_hint, stop_on_error


def finetune(
    base: Annotated[
        str,
        typer.Argument(
            help="Model to start from: `default` or another bundled model, or the folder of a package, a training run "
            "or a tagger."
        ),
    ],
    data: Annotated[Path, typer.Argument(help="Labelled sentences for training: JSONL, or columns as in CoNLL.")],
    out: Annotated[Path, typer.Argument(help="Folder of the package to create.")],
    dev: Annotated[
        Path | None,
        typer.Option(help="Labelled sentences for choosing the best weights and for the evaluation."),
    ] = None,
    hold_out: Annotated[
        float, typer.Option(help="Share of DATA to use as --dev if that is not given; 0 to use none.")
    ] = 0.1,
    lora: Annotated[
        bool, typer.Option("--lora", help="Train low-rank adapters and the head instead of all weights.")
    ] = False,
    epochs: Annotated[float | None, typer.Option(help="Passes over the data.", show_default="5")] = None,
    steps: Annotated[int | None, typer.Option(help="Number of batches, instead of --epochs.")] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Peak learning rate.", show_default="by method and width of the encoder"),
    ] = None,
    batch_tokens: Annotated[int, typer.Option(help="Maximum tokens per batch, padding included.")] = 1024,
    blend: Annotated[float, typer.Option(help="Share of the tuned weights; the rest is the base's weights.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 1,
    name: Annotated[str | None, typer.Option(help="Name of the model. Default: the name of the folder.")] = None,
    scheme: Annotated[str, typer.Option(help="Scaling of activations: static, smooth, token or auto.")] = "auto",
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="Real texts (.txt, .jsonl) to calibrate INT8 with. Default: the data and the built-in sentences."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write the package even if INT8 differs too much from FP32.")
    ] = False,
) -> None:
    """Fine-tune a model on your own labelled sentences and convert it to a package.

    An interrupted run continues from its last checkpoint when the command is repeated.
    """
    with models_extra("fine-tuning"):
        from hanner_models.conversion.convert import parse_scheme
        from hanner_models.finetune.options import FinetuneOptions
        from hanner_models.finetune.run import FinetuneRun
    with stop_on_error(interrupted=resume_hint(Path(f"{out}.run"))):
        options = FinetuneOptions(lora, epochs, steps, learning_rate, batch_tokens, blend=blend, seed=seed)
        run = FinetuneRun(base, data, out, options, dev, hold_out, name, parse_scheme(scheme), force, calibrate)
        result = run.run(print_step)
    from hanner_models.evaluation.report import comparison_table, print_package

    console = output()
    print_package(result.package, console)
    if result.evaluations:
        console.print("\nOn sentences that were not used for training:")
        console.print(comparison_table(result.evaluations))
