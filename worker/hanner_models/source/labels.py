"""Find the labels of a tagger where ModelScope and transformers store them. Reads small files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hanner_inference.decoding.labels import Labels
from hanner_models.source.base import ConversionError, read_optional_json

_DEFAULT = re.compile(r"LABEL_\d+")


def read_labels(folder: Path, configuration: dict[str, Any], config: dict[str, Any]) -> tuple[str, ...]:
    """Return the labels in the order of the logits.

    The order of precedence is ModelScope's: label_mapping.json, then `model` and `preprocessor` of configuration.json,
    then config.json. The supported keys are `label2id`, `id2label` and AdaSeq's `id_to_label`.

    Raises:
        ConversionError: no labels were found, or they do not form a tagging scheme.
    """
    mapping = read_optional_json(folder / "label_mapping.json")
    candidates: list[tuple[str, dict[str, Any]]] = [("label_mapping.json", {"label2id": mapping} if mapping else {})]
    for part in ("model", "preprocessor"):
        value = configuration.get(part)
        candidates.append(("configuration.json", value if isinstance(value, dict) else {}))
    candidates.append(("config.json", config))
    # transformers writes LABEL_0, LABEL_1 … as a default: those come last.
    found = [(file, labels) for file, values in candidates for labels in _labels(folder / file, values)]
    found.sort(key=lambda entry: all(_DEFAULT.fullmatch(label) for label in entry[1]))
    if not found:
        raise ConversionError(f"{folder} has no labels; add id2label to its config.json")
    file, labels = found[0]
    try:
        Labels(labels)
    except ValueError as error:
        raise ConversionError(f"{folder / file} has labels that do not form a tagging scheme: {error}") from None
    return labels


def _labels(path: Path, values: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for key in ("label2id", "id2label", "id_to_label"):
        value = values.get(key)
        if isinstance(value, dict) and value:
            ids = value if key == "label2id" else {label: index for index, label in value.items()}
            yield _in_order(path, ids, len(value))


def _in_order(path: Path, ids: dict[Any, Any], count: int) -> tuple[str, ...]:
    try:
        named = {int(index): str(label) for label, index in ids.items()}
    except (TypeError, ValueError):
        named = {}
    if sorted(named) != list(range(count)):
        raise ConversionError(f"{path} must number its {count} labels from 0 to {count - 1}, each once")
    return tuple(named[index] for index in range(count))
