"""The pages of the site and their navigation. Reads the Markdown files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

PROJECT = {
    "README.md": "project/readme.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
    "README.zh.md": "zh/index.md",
}
"""Files outside docs/ that are pages of the site → their paths on the site."""

NAVIGATION: Mapping[str, tuple[str, ...]] = {
    "Home": ("index.md",),
    "Tutorial": ("tutorial.md",),
    "How-to guides": (
        "how-to/install.md",
        "how-to/client.md",
        "how-to/command-line.md",
        "how-to/http-api.md",
        "how-to/celery.md",
        "how-to/django.md",
        "how-to/fastapi.md",
        "how-to/flask.md",
        "how-to/pandas.md",
        "how-to/spacy.md",
        "how-to/",
    ),
    "Reference": ("reference/",),
    "Explanation": ("explanation/design.md", "explanation/", "models.md", "models/", "benchmarks.md"),
    "Glossary": ("glossary.md",),
    "中文": ("zh/index.md", "zh/"),
    "Project": ("project/",),
}
"""Title of a section → its pages, in this order; a folder stands for its other pages, by title."""


def pages() -> dict[str, Path]:
    """Return the path of each page on the site → its file."""
    found = {path.relative_to(DOCS).as_posix(): path for path in DOCS.rglob("*.md")}
    return found | {target: ROOT / name for name, target in PROJECT.items() if (ROOT / name).is_file()}


def title(file: Path) -> str:
    """Return the first heading of a page.

    Raises:
        ValueError: if it has none.
    """
    for line in file.read_text("utf-8").splitlines():
        if line.startswith("# "):
            return line.removeprefix("# ").strip()
    raise ValueError(f"{file.relative_to(ROOT)} has no heading of the first level; add one")


def navigation(found: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Return MkDocs' `nav` for these pages. Every page is in it once.

    Raises:
        ValueError: if a page is in no section.
    """
    listed: set[str] = set()
    nav: list[dict[str, Any]] = []
    for section, entries in NAVIGATION.items():
        names: list[str] = []
        for entry in entries:
            matching = [name for name in found if name == entry or (entry.endswith("/") and name.startswith(entry))]
            names += sorted(set(matching) - listed - set(names), key=lambda name: title(found[name]).lower())
        listed.update(names)
        if len(names) == 1:
            nav.append({section: names[0]})
        elif names:
            nav.append({section: names})
    if missing := sorted(found.keys() - listed):
        raise ValueError(f"docs/{missing[0]} is in no section of NAVIGATION in {Path(__file__).name}; add it")
    return nav
