"""`hanner model list`."""

import json
from typing import Annotated

import typer

from hanner_models.cli.console import output, stop_on_error


def list_models(as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False) -> None:
    """Print the bundled models: size, entity types, what they label, and F1 from their manifests.

    HANNER_MODEL and --model select one by its name.
    """
    from hanner_inference.package import DEFAULT_MODEL, bundled_models, open_package
    from hanner_models.evaluation.report import bundled_table, summarise_package

    with stop_on_error():
        packages = [open_package(name) for name in bundled_models()]
    models = [summarise_package(package, default=package.path.name == DEFAULT_MODEL) for package in packages]
    if as_json:
        print(json.dumps({"models": models}, ensure_ascii=False, indent=2))
    else:
        output().print(bundled_table(models), highlight=False)
