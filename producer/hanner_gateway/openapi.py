"""Writes openapi.json, the committed OpenAPI document: `python -m hanner_gateway.openapi`."""

import json
from pathlib import Path

from hanner.settings import Settings
from hanner_gateway.app import make_app

PATH = Path(__file__).with_name("openapi.json")


def render() -> str:
    """Return the OpenAPI document of a gateway with default settings, as JSON."""
    return json.dumps(make_app(Settings.from_env({})).openapi(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    PATH.write_text(render(), "utf-8")
