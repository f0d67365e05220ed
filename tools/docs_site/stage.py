"""Prepares the sources of the site: pages of docs/ and of the root, their images, drawn diagrams. Writes files.

Links between pages in the repository become links between pages of the site.
"""

import re
import shutil
from collections.abc import Mapping
from os.path import relpath
from pathlib import Path

import yaml

from docs_site.diagrams import BLOCK, diagrams
from docs_site.pages import DOCS, ROOT, navigation, pages

HERE = Path(__file__).parent
ICON = ROOT / "producer" / "page" / "icon.svg"
LINK = re.compile(r"(\]\(|(?:href|src)=\")([^)\s\"#:]+)(?=[)#\"])")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def stage(folder: Path) -> Path:
    """Write the sources of the site into a folder's `docs`, replacing it, and return the path of the configuration."""
    shutil.rmtree(folder / "docs", ignore_errors=True)
    found = pages()
    files: dict[Path, str] = {}
    for name, file in found.items():
        target = folder / "docs" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_page(name, file, found, files), "utf-8")
    for file, name in files.items():
        target = folder / "docs" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    shutil.copy(HERE / "extra.css", folder / "docs" / "extra.css")
    shutil.copy(ICON, folder / "docs" / "icon.svg")
    added = {"docs_dir": "docs", "site_dir": "site", "nav": navigation(found)}
    path = folder / "mkdocs.yml"
    path.write_text((HERE / "mkdocs.yml").read_text("utf-8") + yaml.safe_dump(added, allow_unicode=True), "utf-8")
    return path


def _page(name: str, file: Path, found: Mapping[str, Path], files: dict[Path, str]) -> str:
    """Return the text of a page for the site; add the files that it links to."""
    text = file.read_text("utf-8")
    for diagram in diagrams(name, text):
        if not diagram.is_drawn():
            raise ValueError(
                f"{diagram.file.relative_to(ROOT)} is not the drawing of a diagram in {name}: make diagrams"
            )
        image = relpath(diagram.file, file.parent)
        text = BLOCK.sub(f"![{diagram.title}]({image})", text, count=1)
    places = {path.resolve(): place for place, path in found.items()}

    def replace(match: re.Match[str]) -> str:
        target = (file.parent / match[2]).resolve()
        place = places.get(target) or _place(target, places, files)
        if place is None:
            raise ValueError(
                f"{file.relative_to(ROOT)} links to {match[2]}, which does not exist or is no page or file"
            )
        return match[1] + relpath(place, Path(name).parent)

    parts = re.split(f"({CODE.pattern})", text, flags=CODE.flags)
    return "".join(part if part.startswith("```") else LINK.sub(replace, part) for part in parts)


def _place(target: Path, places: Mapping[Path, str], files: dict[Path, str]) -> str | None:
    """Return the place of a file or folder that is not a page."""
    if target.is_file() and target.is_relative_to(ROOT):
        base = DOCS if target.is_relative_to(DOCS) else ROOT
        place = target.relative_to(base).as_posix()
        files[target] = place if base is DOCS else f"files/{place.replace('/.', '/')}"  # Zensical skips hidden files
        return files[target]
    inside = sorted(place for path, place in places.items() if path.parent == target)
    return inside[0] if inside else None
