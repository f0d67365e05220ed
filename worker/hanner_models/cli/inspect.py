"""`hanner model inspect`."""

from typing import Annotated

import typer

from hanner_models.cli.console import MODEL_HELP, chosen_model, output, stop_on_error


def inspect(
    model: Annotated[str | None, typer.Argument(help=MODEL_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Check a package and print its manifest, including the comparison of INT8 with FP32."""
    from hanner_inference.package import open_package
    from hanner_models.evaluation.report import print_package

    with stop_on_error():
        package = open_package(chosen_model(model))
    if as_json:
        print(package.manifest.model_dump_json(indent=2))
    else:
        print_package(package, output())
