"""The API's documentation: the OpenAPI document, and Swagger UI at /docs from files of an installed package.

/docs has no inline script and loads nothing from other hosts.
"""

from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, Response
from pydantic import TypeAdapter
from starlette.staticfiles import StaticFiles

from hanner_gateway.problems import Problem
from hanner_gateway.schemas import JobRequest, Unit

REFERENCE = "#/components/schemas/{model}"
EXTRA_SCHEMAS: dict[str, Any] = {"JobRequest": JobRequest, "Problem": Problem, "Unit": Unit}
"""Schemas that routes refer to by name, because FastAPI does not find them in a signature."""

FILES = {"swagger-ui-bundle.js", "swagger-ui.css"}
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>hanner API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START = """\
window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  tryItOutEnabled: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""


def install(app: FastAPI) -> None:
    """Serve /docs with its files, and complete the OpenAPI document."""

    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE)

    async def start() -> Response:
        return Response(START, media_type="text/javascript")

    app.openapi = lambda: openapi_document(app)  # type: ignore[method-assign]
    app.add_api_route("/docs", page, include_in_schema=False)
    app.add_api_route("/docs/start.js", start, include_in_schema=False)
    app.mount("/docs", SwaggerFiles(directory=_swagger_folder()), name="swagger")


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the app's OpenAPI document, with EXTRA_SCHEMAS."""
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
        for name, kind in EXTRA_SCHEMAS.items():
            schema = TypeAdapter(kind).json_schema(ref_template=REFERENCE)
            schemas.update(schema.pop("$defs", {}))
            schemas[name] = schema
        app.openapi_schema = document
    return app.openapi_schema


class SwaggerFiles(StaticFiles):
    """Serves the two files of Swagger UI that the page needs, and no other file of the package."""

    def lookup_path(self, path: str) -> tuple[str, object]:  # type: ignore[override]
        """Return the path and stat result of one of FILES; an empty path for all others."""
        return super().lookup_path(path) if path in FILES else ("", None)


def _swagger_folder() -> Path:
    return Path(str(resources.files("fastapi_offline"))) / "static"
