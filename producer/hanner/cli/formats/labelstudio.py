"""Label Studio's JSON of tasks with predictions, for its Import. Its offsets are code points as well.

It fits the labelling configuration of the template "Named Entity Recognition": `<Labels name="label" toName="text">`
and `<Text name="text" value="$text"/>`. The file is a list with one task per line; each but the first starts with a
comma.
"""

from typing import TYPE_CHECKING, Any

from hanner.cli.formats.base import Record
from hanner.cli.formats.jsonl import JsonFormat, dumps

if TYPE_CHECKING:
    from hanner.results import Entity


class LabelStudio(JsonFormat):
    """`{"data": {"text": …}, "predictions": [{"model_version", "score", "result": […]}]}`."""

    header = "[\n"
    footer = "]\n"
    needs_model = True

    def render(self, record: Record) -> str:
        """Return one line. A text that failed has no predictions, and `error` in its data."""
        data: dict[str, Any] = dict(record.fields) | {"text": record.text or ""}
        error, entities = record.document.error, record.document.entities
        task: dict[str, Any] = {"data": data, "predictions": []}
        if error is not None:
            data["error"] = f"{error.code}: {error.message}"
        else:
            prediction: dict[str, Any] = {"model_version": record.model, "result": [_region(e) for e in entities]}
            if entities:
                prediction["score"] = min(entity.score for entity in entities)
            task["predictions"] = [prediction]
        return ("," if record.number else " ") + dumps(task)

    def matches(self, lines: str, text: str | None) -> bool:
        """Return whether the task has this text."""
        return super().matches(lines[1:], text or "")

    def extract_text(self, value: Any) -> str | None:
        """Return the text of a task."""
        return super().extract_text(value["data"])


def _region(entity: "Entity") -> dict[str, Any]:
    return {
        "id": f"{entity.start}-{entity.end}",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "score": entity.score,
        "value": {"start": entity.start, "end": entity.end, "text": entity.text, "labels": [entity.type]},
    }
