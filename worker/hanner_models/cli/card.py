"""`hanner model card`."""

from pathlib import Path
from typing import Annotated

import typer

from hanner_models.cli.console import MODEL_HELP, chosen_model, output, stop_on_error


def card(
    model: Annotated[str | None, typer.Argument(help=MODEL_HELP)] = None,
    figures: Annotated[
        Path | None,
        typer.Option(help="Output of `hanner model evaluate --json`. Default: the figures in the manifest."),
    ] = None,
    into: Annotated[Path | None, typer.Option(help="Markdown file whose <!-- card --> blocks are replaced.")] = None,
    write_manifest: Annotated[
        bool, typer.Option("--write-manifest", help="Write figures, known failures and recipe into the manifest.")
    ] = False,
) -> None:
    """Print the card of a package: training data, licences and accuracy. Update it in a document or in the manifest."""
    from hanner_inference.package import open_package
    from hanner_models.evaluation import card as cards

    with stop_on_error():
        opened = open_package(chosen_model(model))
        values = cards.read_figures(figures) if figures else opened.manifest.card.get("figures", {})
        if into:
            cards.update_document(into, opened.manifest, values)
        if write_manifest:
            opened = cards.write_card(opened, values, into)
    if into or write_manifest:
        output().print(f"{opened.id}: the card is updated", highlight=False)
    else:
        print(cards.render(opened.manifest, values))
