"""The generated pages of docs/reference."""

from collections.abc import Callable, Mapping
from pathlib import Path

from reference import cli, errors, http, metrics, python_api, settings

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings.render,
    "errors.md": errors.render,
    "cli.md": cli.render,
    "http.md": http.render,
    "metrics.md": metrics.render,
    "python.md": python_api.render,
}
"""File name → the function that returns the page."""
