"""The OpenAPI document; the one that is kept beside this file is written by `python -m hanner_gateway.openapi`."""

import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from hanner.settings import Settings
from hanner_gateway.problems import Problem
from hanner_gateway.schemas import JobRequest, Unit

KEPT = Path(__file__).with_name("openapi.json")
REFERENCE = "#/components/schemas/{model}"


def install(app: FastAPI) -> None:
    """Have the app describe what FastAPI cannot see by itself."""
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the app's OpenAPI document."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
            separate_input_output_schemas=app.separate_input_output_schemas,
        )
        schemas = document["components"]["schemas"]
        kinds: dict[str, Any] = {"JobRequest": JobRequest, "Problem": Problem, "Unit": Unit}
        for name, kind in kinds.items():
            schema = TypeAdapter(kind).json_schema(ref_template=REFERENCE)
            schemas.update(schema.pop("$defs", {}))
            schemas[name] = schema
        app.openapi_schema = document
    return app.openapi_schema


def rendered() -> str:
    """Return the document of a gateway with default settings, as it is kept."""
    from hanner_gateway.app import make_app  # noqa: PLC0415 - which imports this module

    return json.dumps(make_app(Settings.from_env({})).openapi(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    KEPT.write_text(rendered(), "utf-8")
