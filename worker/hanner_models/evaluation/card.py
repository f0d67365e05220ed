"""A model's card: training data, licences and accuracy. In Markdown, and in the manifest.

A document has blocks of figures between `<!-- card: NAME -->` and `<!-- /card -->`, which `update_document` writes; the
rest is written by hand. Two of its sections, on failures and on how to reproduce the model, are copied into the
manifest.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hanner_inference.package import Manifest, ModelPackage, write_manifest
from hanner_models.data.datasets import DataError
from hanner_models.evaluation.reliability import PRECISION

Figures = Mapping[str, Any]
"""`Evaluation.to_dict` by file."""
_BLOCK = re.compile(r"(<!-- card: (\w+) -->\n).*?(<!-- /card -->)", re.DOTALL)
_SECTIONS = {"known_failures": "Known failures", "reproduce": "How to reproduce"}
_NO_FIGURES = "no figures; create them with `hanner model evaluate --json`, and pass them with `--figures`"


def read_figures(path: Path) -> dict[str, Any]:
    """Return the figures that `hanner model evaluate --json` printed for one model.

    Raises:
        DataError: the file has another form, or figures of several models.
    """
    try:
        (model,) = json.loads(path.read_text("utf-8"))["models"]
        files: dict[str, Any] = model["files"]
        for figures in files.values():
            _ = figures["all"]["f1"], figures["types"], figures["errors"]["confusion"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not the output of `hanner model evaluate --json` for one model ({error!r}); create it again"
        ) from None
    return files


def render(manifest: Manifest, figures: Figures) -> str:
    """Return the whole card in Markdown."""
    titles = {"accuracy": "Accuracy", "types": "By type", "errors": "Errors", "scores": "Scores"}
    titles["data"] = "Data and licences"
    parts = [f"# {manifest.name}"]
    parts += [f"## {title}\n\n{_BLOCKS[name](manifest, figures)}" for name, title in titles.items()]
    for key, title in _SECTIONS.items():
        if key in manifest.card:
            parts.append(f"## {title}\n\n{manifest.card[key]}")
    return "\n\n".join(parts)


def update_document(path: Path, manifest: Manifest, figures: Figures) -> None:
    """Replace the blocks of a document.

    Raises:
        DataError: the document cannot be read, has no blocks, or has a block with an unknown name.
    """
    text = _read(path)
    names = [match[2] for match in _BLOCK.finditer(text)]
    if unknown := [name for name in names if name not in _BLOCKS]:
        raise DataError(f"{path} has a block with the unknown name {unknown[0]}; known names are {', '.join(_BLOCKS)}")
    if not names:
        raise DataError(f"{path} has no blocks; add <!-- card: accuracy --> and <!-- /card --> where one is wanted")
    path.write_text(_BLOCK.sub(lambda m: f"{m[1]}{_BLOCKS[m[2]](manifest, figures)}\n{m[3]}", text), "utf-8")


def write_card(package: ModelPackage, figures: Figures, document: Path | None) -> ModelPackage:
    """Write figures and the document's sections on failures and reproduction into the manifest.

    The digest of the package changes.
    """
    text = _read(document) if document else ""
    card = {**package.manifest.card, "figures": dict(figures), **sections(text)}
    return write_manifest(package.path, package.manifest.model_copy(update={"card": card}))


def sections(text: str) -> dict[str, str]:
    """Return the sections of a document that are copied into the manifest, without their titles."""
    found = {}
    for key, title in _SECTIONS.items():
        match = re.search(rf"^## {title}\n+(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
        if match:
            found[key] = match[1].strip()
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from None


def _accuracy(manifest: Manifest, figures: Figures) -> str:
    rows = []
    for name, found in figures.items():
        verified = manifest.verification.get(name, {})
        row = [name, f"{found['texts']:,}", *(_precision_recall_f1(found["all"]).split(" / "))]
        row += [_f1(found.get("seen")), _f1(found.get("unseen")), _unseen_share(found)]
        rows.append([*row, _number(verified.get("fp32_f1")), _percent(verified.get("same_entities"))])
    columns = ["file", "texts", "precision", "recall", "F1", "F1, seen names", "F1, unseen names", "unseen names"]
    return _table([*columns, "F1, FP32", "same as FP32"], rows)


def _types(manifest: Manifest, figures: Figures) -> str:
    del manifest
    kinds = sorted({kind for found in figures.values() for kind in found["types"]})
    rows = [[kind, *(_precision_recall_f1(found["types"].get(kind)) for found in figures.values())] for kind in kinds]
    return _table(
        ["precision / recall / F1", *figures],
        [*rows, ["all", *(_precision_recall_f1(f["all"]) for f in figures.values())]],
    )


def _scores(manifest: Manifest, figures: Figures) -> str:
    del manifest
    rows = []
    for name, found in figures.items():
        if "reliability" not in found:
            continue
        groups = {**found["reliability"]["types"], "all": found["reliability"]["all"]}
        for kind, measured in groups.items():
            row = [name, kind, _number(measured["calibration_error"])]
            rows.append([*row, _number(measured.get("min_score")), _percent(measured.get("kept"))])
    return _table(
        ["file", "type", "calibration error", f"min_score for precision {PRECISION}", "correct ones kept"], rows
    )


def _errors(manifest: Manifest, figures: Figures) -> str:
    del manifest
    rows = []
    for name, found in figures.items():
        errors = found["errors"]
        boundary = errors["wrong_boundary"]
        rows.append(
            [
                name,
                f"{found['all']['names']:,}",
                *(f"{n:,}" for n in (errors["correct"], errors["wrong_type"], *boundary.values())),
                *(f"{errors[kind]:,}" for kind in ("wrong_type_and_boundary", "missed", "invented")),
            ]
        )
    kinds = ["correct", "wrong type", "too long", "too short", "shifted", "type and boundary", "missed", "invented"]
    return _table(["file", "names", *kinds], rows)


def _data(manifest: Manifest, figures: Figures) -> str:
    del figures
    known = [entry if isinstance(entry, dict) else {"licence": str(entry)} for entry in manifest.licences]
    return _table(["data", "licence"], [[e.get("data", "not stated"), e.get("licence", "not stated")] for e in known])


_BLOCKS: dict[str, Callable[[Manifest, Figures], str]] = {
    "accuracy": _accuracy,
    "types": _types,
    "errors": _errors,
    "scores": _scores,
    "data": _data,
}


def _table(columns: list[str], rows: list[list[str]]) -> str:
    if not rows or len(columns) < 2:
        return _NO_FIGURES
    # Columns that are empty in all rows are left out.
    kept = [i for i in range(len(columns)) if i == 0 or any(row[i] for row in rows)]
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line[i] for i in kept) + " |" for line in lines)


def _precision_recall_f1(counts: Mapping[str, float] | None) -> str:
    return " / ".join(f"{counts[figure]:.3f}" for figure in ("precision", "recall", "f1")) if counts else ""


def _f1(counts: Mapping[str, float] | None) -> str:
    return f"{counts['f1']:.3f}" if counts else ""


def _unseen_share(found: Mapping[str, Any]) -> str:
    names = found["all"]["names"]
    return _percent(found["unseen"]["names"] / names) if "unseen" in found and names else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
