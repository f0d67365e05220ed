"""Label Studio's JSON of tasks with predictions, for its Import. Offsets are code points there too.

It fits the labelling set-up of the template "Named Entity Recognition": `<Labels name="label" toName="text">` and
`<Text name="text" value="$text"/>`. A list, one task per line: a comma stands before each task but the first.
"""

from typing import Any

from hanner.cli.formats.base import Record
from hanner.cli.formats.jsonl import JsonFormat, dumps
from hanner.contract import Entity


class LabelStudio(JsonFormat):
    """`{"data": {"text": …}, "predictions": [{"model_version", "score", "result": […]}]}`."""

    header = "[\n"
    footer = "]\n"
    needs_model = True

    def render(self, record: Record) -> str:
        """Return one line. A text that failed has no predictions, and `error` among its data."""
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

    def continues(self, lines: str, text: str | None) -> bool:
        """Say whether the task is this text's."""
        return super().continues(lines[1:], text or "")

    def text_in(self, value: Any) -> str | None:
        """Return the text of a task."""
        return super().text_in(value["data"])


def _region(entity: Entity) -> dict[str, Any]:
    return {
        "id": f"{entity.start}-{entity.end}",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "score": entity.score,
        "value": {"start": entity.start, "end": entity.end, "text": entity.text, "labels": [entity.type]},
    }
