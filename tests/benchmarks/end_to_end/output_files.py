"""Read and write results, page, plots, and the figures in other documents."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from benchmarks.end_to_end import plots, readme_figures, report

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
FIGURES: dict[str, Callable[[dict], str]] = {
    "README.md": lambda results: readme_figures.render(results, "en"),
    "README.zh.md": lambda results: readme_figures.render(results, "zh"),
    "docs/explanation/comparison.md": readme_figures.comparison_table,
}
"""Files with figures between marks, and the functions that return these."""
MARKED = re.compile(r"(<!-- figures: make bench -->\n).*?(<!-- /figures -->)", re.DOTALL)


class OutputFiles:
    """The files in a folder: benchmarks.md, and benchmarks/ with results and plots."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._results = folder / "benchmarks" / "results.json"
        self._queue = folder / "benchmarks" / "queue.json"

    def read(self) -> dict:
        results = json.loads(self._results.read_text("utf-8")) if self._results.exists() else {}
        if self._queue.exists():
            results["queue"] = json.loads(self._queue.read_text("utf-8"))
        return results

    def update_section(self, name: str, section: dict) -> None:
        """Replace a section of the results."""
        results = {k: v for k, v in self.read().items() if k != "queue"} | {name: section}
        self._results.parent.mkdir(parents=True, exist_ok=True)
        self._results.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", "utf-8")

    def render(self) -> None:
        """Write page and plots from the results; if the folder is docs/ of the repository, other figures too."""
        results = self.read()
        drawn = plots.draw(results, self._results.parent)
        (self._folder / "benchmarks.md").write_text(report.render(results, drawn), "utf-8")
        if self._folder.resolve() == DOCS:
            for name, figures in FIGURES.items():
                path = ROOT / name
                path.write_text(insert_figures(path.read_text("utf-8"), figures(results)), "utf-8")


def insert_figures(text: str, figures: str) -> str:
    """Return a document with the figures between its marks replaced."""
    return MARKED.sub(lambda match: f"{match[1]}{figures}\n{match[2]}", text)
