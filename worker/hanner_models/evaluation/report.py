"""The tables that `hanner model` prints for packages and evaluations."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.table import Table

from hanner_inference.package import Manifest, ModelPackage
from hanner_models.evaluation import reliability
from hanner_models.evaluation.error_analysis import BOUNDARIES, MISSED, ErrorCounts
from hanner_models.evaluation.evaluate import Counts, Evaluation
from hanner_models.evaluation.reliability import ScoredEntity

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
    """Print the origin of a package, how texts are prepared, and how INT8 compares with FP32."""
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
    """Return a table of the comparison made at conversion, with a row for each set of texts."""
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


def summarise_package(package: ModelPackage, *, default: bool) -> dict[str, Any]:
    """Return what the list of bundled models has about a package; `bytes` is the size of its files."""
    manifest = package.manifest
    measured = manifest.card.get("figures") or {}
    return {
        "name": manifest.name,
        "model": package.id,
        "default": default,
        "path": str(package.path),
        "bytes": sum(record.bytes for record in manifest.files.values()),
        "types": list(dict.fromkeys(kind for kind in package.labels().types if kind)),
        "labels": "characters of word pieces" if manifest.labels_characters else "tokens",
        "f1": {name: figures["all"]["f1"] for name, figures in measured.items()},
    }


def bundled_table(models: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of the bundled models, with columns for the F1 on each file."""
    names = list(dict.fromkeys(name for model in models for name in model["f1"]))
    table = _table("model", "MB", "types", "labels", *(f"F1, {name.removesuffix('.jsonl')}" for name in names))
    for model in models:
        f1 = [f"{model['f1'][name]:.3f}" if name in model["f1"] else "" for name in names]
        name = f"{model['name']} (default)" if model["default"] else model["name"]
        table.add_row(name, f"{model['bytes'] / 1e6:.1f}", ", ".join(model["types"]), model["labels"], *f1)
    return table


def print_evaluation(name: str, result: Evaluation, console: Console, *, with_scores: bool = False) -> None:
    """Print the evaluation on one file: the table by type, the errors, the confusion of types, and the scores."""
    rate = f"{result.texts / result.seconds:,.0f} texts/s, {result.characters / result.seconds:,.0f} characters/s"
    console.print(f"{name}: {result.texts:,} texts, {rate}", highlight=False)
    console.print(evaluation_table(result))
    console.print(errors_line(result.errors), highlight=False)
    console.print(confusion_table(result.errors), "")
    if with_scores:
        console.print(reliability_table(result.scored), "")


def evaluation_table(result: Evaluation) -> Table:
    """Return the precision, recall and F1 by type, and by seen and unseen entities if the evaluation has them."""
    table = _table("type", "precision", "recall", "F1", "gold", "found")
    groups = [*sorted(result.types.items()), ("all", result.total)]
    if result.known is not None:
        groups += [("seen", result.seen), ("unseen", result.unseen)]
    for kind, counts in groups:
        figures = (f"{value:.4f}" for value in (counts.precision, counts.recall, counts.f1))
        table.add_row(kind, *figures, f"{counts.gold:,}", f"{counts.predicted:,}")
    return table


def reliability_table(scored: Sequence[ScoredEntity]) -> Table:
    """Return a row per type and for all: precision by interval of the scores, and the score for a high precision."""
    intervals = [f"{low:g}-{high:g}" for low, high in pairwise(reliability.EDGES)]
    wanted = f"{reliability.PRECISION:.0%}"
    table = _table("type", *intervals, "calibration error", f"min_score for {wanted}", "kept")
    table.title, table.title_justify, table.title_style = "share of correct entities by score", "left", ""
    groups = [(kind, reliability.of_type(scored, kind)) for kind in sorted({e.type for e in scored})]
    for kind, entities in [*groups, ("all", scored)]:
        shares = {part.low: f"{part.precision:.2f} ({part.count:,})" for part in reliability.curve(entities)}
        cells = [shares.get(low, "") for low in reliability.EDGES[:-1]]
        found = reliability.threshold(entities)
        limit = ("", "") if found is None else (f"{found.min_score:.3f}", f"{found.kept:.0%}")
        table.add_row(kind, *cells, f"{reliability.calibration_error(entities):.3f}", *limit)
    return table


def errors_line(errors: ErrorCounts) -> str:
    """Return a sentence with the number of errors of each kind."""
    boundary = ", ".join(f"{kind} {errors.boundary[kind]:,}" for kind in BOUNDARIES)
    return (
        f"entities: {errors.correct:,} correct, {errors.wrong_type:,} with a wrong type, "
        f"{errors.boundary.total():,} with wrong boundaries ({boundary}), {errors.wrong_both:,} with both, "
        f"{errors.missed:,} missed; {errors.invented:,} invented"
    )


def confusion_table(errors: ErrorCounts) -> Table:
    """Return a table of predicted types by gold type; boundaries are ignored."""
    types = sorted({kind for found in errors.confusion.values() for kind in found} - {MISSED} | errors.confusion.keys())
    table = _table("type, found as", *types, "missed")
    for kind in sorted(errors.confusion):
        table.add_row(kind, *(f"{errors.confusion[kind][other]:,}" for other in [*types, MISSED]))
    return table


def summary_table(measured: Mapping[str, Mapping[str, Evaluation]]) -> Table:
    """Return a table of F1 with a row for each file and package."""
    results = [result for files in measured.values() for result in files.values()]
    distinguished = any(result.known is not None for result in results)
    table = _table("file", "package", "F1", *(["F1, seen", "F1, unseen"] if distinguished else []), "texts/s")
    for package, files in measured.items():
        for name, result in files.items():
            groups = [result.total, *([result.seen, result.unseen] if distinguished else [])]
            figures = [f"{counts.f1:.4f}" for counts in groups]
            table.add_row(name, package, *figures, f"{result.texts / result.seconds:,.0f}")
    return table


def comparison_table(measured: Mapping[str, Evaluation]) -> Table:
    """Return a table of precision, recall and F1 by type, with columns for each evaluation."""
    columns = [f"{figure}, {name}" for name in measured for figure in ("precision", "recall", "F1")]
    table = _table("type", *columns)
    kinds = sorted({kind for result in measured.values() for kind in result.types})
    for kind in [*kinds, "all"]:
        groups = [result.total if kind == "all" else result.types.get(kind, Counts()) for result in measured.values()]
        table.add_row(kind, *(f"{value:.4f}" for c in groups for value in (c.precision, c.recall, c.f1)))
    return table


def _table(first: str, *others: str) -> Table:
    """Return an empty table; columns of numbers are aligned to the right."""
    table = Table()
    for column in (first, *others):
        table.add_column(column, justify="left" if column in {first, "package"} else "right")
    return table


def _facts(manifest: Manifest) -> dict[str, str]:
    options = manifest.tokenizer
    preparation = [f"{options.max_length} tokens per window", f"split into {options.split}"]
    preparation += ["lower case"] * options.lowercase + ["half width"] * options.half_width
    preparation += ["simplified characters"] * options.fold_traditional
    preparation += ["only first word pieces labelled"] * (options.label_mask == "first")
    licences = [licence if isinstance(licence, str) else _pairs(licence) for licence in manifest.licences]
    facts = {
        "source": " ".join(part for part in (manifest.source, manifest.revision) if part),
        "labels": ", ".join(manifest.labels),
        "text": ", ".join(preparation),
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
