"""What `nerq model` prints of packages and measurements."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nerq_models.evaluate import Evaluation
from nerq_worker.store import Manifest, ModelPackage

_COUNTS = {"texts": "{:,}", "tokens": "{:,}"}
_FIGURES = {
    "tag_agreement": ("same labels", "{:.3%}"),
    "same_entities": ("same entities", "{:.2%}"),
    "largest_logit_error": ("largest logit error", "{:.4f}"),
    "mean_logit_error": ("mean", "{:.4f}"),
    "f1": ("F1", "{:.4f}"),
    "fp32_f1": ("FP32", "{:.4f}"),
}


def print_package(package: ModelPackage, console: Console) -> None:
    """Print where a package is from, how texts are prepared for it, and how INT8 compares with FP32."""
    manifest = package.manifest
    size = sum(record.bytes for record in manifest.files.values()) / 1e6
    console.print(f"{package.id}  {package.path}  {size:.1f} MB", highlight=False)
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, value in _facts(manifest).items():
        facts.add_row(name, value)
    console.print(facts, highlight=False)
    if manifest.verification:
        console.print(verification_table(manifest.verification), highlight=False)


def verification_table(verification: dict[str, Any]) -> Table:
    """Return a table of the figures that were taken when the package was made, a row for each set of texts."""
    entries = {name: figures for name, figures in verification.items() if isinstance(figures, dict)}
    references = {str(figures["reference"]) for figures in entries.values() if "reference" in figures}
    against = f"FP32 ({', '.join(sorted(references))})" if references else "FP32"
    table = Table(title=f"INT8 against {against}", title_justify="left", title_style="")
    known = [key for key in (*_COUNTS, *_FIGURES) if any(key in figures for figures in entries.values())]
    table.add_column("")
    for key in known:
        table.add_column(_FIGURES[key][0] if key in _FIGURES else key, justify="right")
    for name, figures in entries.items():
        table.add_row(name, *(_cell(key, figures.get(key)) for key in known))
    return table


def evaluation_table(path: Path, result: Evaluation) -> Table:
    """Return a table of precision, recall and F1 by type."""
    rate = f"{result.texts / result.seconds:,.0f} texts/s, {result.characters / result.seconds:,.0f} characters/s"
    table = Table(title=f"{path.name}: {result.texts:,} texts, {rate}", title_justify="left", title_style="")
    for column in ("type", "precision", "recall", "F1", "names", "found"):
        table.add_column(column, justify="left" if column == "type" else "right")
    for kind, counts in [*sorted(result.types.items()), ("all", result.total)]:
        figures = (f"{value:.4f}" for value in (counts.precision, counts.recall, counts.f1))
        table.add_row(kind, *figures, f"{counts.gold:,}", f"{counts.predicted:,}")
    return table


def _facts(manifest: Manifest) -> dict[str, str]:
    options = manifest.tokenizer
    prepared = [f"{options.max_length} tokens a window", f"split into {options.split}"]
    prepared += ["lower case"] * options.lowercase + ["half width"] * options.half_width
    prepared += ["first pieces labelled"] * (options.label_mask == "first")
    licences = [licence if isinstance(licence, str) else _pairs(licence) for licence in manifest.licences]
    facts = {
        "source": " ".join(part for part in (manifest.source, manifest.revision) if part),
        "labels": ", ".join(manifest.labels),
        "text": ", ".join(prepared),
        "quantisation": _pairs(manifest.quantisation),
        "licences": "\n".join(licences),
    }
    return {name: value for name, value in facts.items() if value}


def _pairs(values: Any) -> str:
    if not isinstance(values, dict):
        return str(values)
    return "; ".join(str(value) if key in {"scheme", "data"} else f"{key} {value}" for key, value in values.items())


def _cell(key: str, value: Any) -> str:
    if value is None:
        return ""
    return (_FIGURES[key][1] if key in _FIGURES else _COUNTS[key]).format(value)
