"""/docs: Swagger UI out of a package on this machine, with no inline script and no address but our own."""

from importlib import resources
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

FILES = {"swagger-ui-bundle.js", "swagger-ui.css"}
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>hanner: the API</title>
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


class SwaggerFiles(StaticFiles):
    """The two files of Swagger UI that the page needs, and nothing else of the package."""

    def lookup_path(self, path: str) -> tuple[str, object]:  # type: ignore[override]
        """Find one of FILES."""
        return super().lookup_path(path) if path in FILES else ("", None)


def install(app: FastAPI) -> None:
    """Serve the page, its script and Swagger UI."""

    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE)

    async def start() -> Response:
        return Response(START, media_type="text/javascript")

    app.add_api_route("/docs", page, include_in_schema=False)
    app.add_api_route("/docs/start.js", start, include_in_schema=False)
    app.mount("/docs", SwaggerFiles(directory=_folder()), name="swagger")


def _folder() -> Path:
    return Path(str(resources.files("fastapi_offline"))) / "static"
