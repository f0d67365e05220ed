"""The page of the HTTP API, from the committed OpenAPI document."""

import json
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from hanner_gateway.openapi import PATH
from hanner_gateway.problems import MEDIA_TYPE
from reference.markdown import anchor, block, code, page, table

REFERENCE = "#/components/schemas/"
INTRODUCTION = """\
# HTTP API

The gateway's routes. It also serves this API as Swagger UI at `/docs` and as an OpenAPI document at `/openapi.json`.
Errors are `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) with a [`Problem`](#problem);
its `code` is one of the [error codes](errors.md). 429 and 503 responses carry Retry-After. If `HANNER_API_KEYS` is set,
routes that need a key expect the header `Authorization: Bearer KEY`.

`GET /metrics` serves the [metrics](metrics.md) for Prometheus, without a key."""


def render() -> str:
    """Return the page."""
    document = json.loads(PATH.read_text("utf-8"))
    operations = list(_operations(document["paths"]))
    overview = [
        (
            f"[`{method} {path}`](#{anchor(_heading(method, path, operation))})",
            operation["summary"],
            "yes" if _needs_key(operation) else "no",
        )
        for method, path, operation in operations
    ]
    schemas = document["components"]["schemas"]
    return page(
        INTRODUCTION,
        table(["route", "what it does", "needs a key"], overview),
        *(_operation(*each) for each in operations),
        "## Schemas",
        *(_schema(name, schemas[name]) for name in sorted(schemas)),
    )


def _operations(paths: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield method, path and operation of each route; those of the API first."""
    for path in sorted(paths, key=lambda path: (not path.startswith("/api"), path)):
        for method in ("get", "post", "delete"):
            if method in paths[path]:
                yield method.upper(), path, paths[path][method]


def _needs_key(operation: Mapping[str, Any]) -> bool:
    return bool(operation.get("security"))


def _heading(method: str, path: str, operation: Mapping[str, Any]) -> str:
    """Return the heading of a route; that of the root has a name, because renderers disagree on the anchor of `/`."""
    return f"{method} {path}" if path != "/" else str(operation["summary"])


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f"## {_heading(method, path, operation)}",
        f"`{method} {path}`" if path == "/" else "",
        operation["description"],
    ]
    if parameters := operation.get("parameters"):
        rows = [(code(each["name"]), each["in"], _type(each["schema"]), _about(each)) for each in parameters]
        parts.append(table(["parameter", "in", "type", "meaning"], rows))
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"Body, `{media_type}`: {_type(content['schema'])}")
        if "properties" in content["schema"]:
            parts.append(_fields(content["schema"]))
    parts.append(table(["status", "body", "meaning"], _responses(operation["responses"])))
    return "\n\n".join(filter(None, parts))


def _responses(responses: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield one row per successful response, and one for all problems."""
    problems = [status for status, response in responses.items() if MEDIA_TYPE in response.get("content", {})]
    for status, response in responses.items():
        if status not in problems:
            meaning = response["description"]
            bodies = " or ".join(_body(kind, each) for kind, each in response.get("content", {}).items())
            yield status, bodies, HTTPStatus(int(status)).phrase if meaning == "Successful Response" else meaning
    if problems:
        yield ", ".join(problems), "[`Problem`](#problem)", "see [errors](errors.md)"


def _body(media_type: str, content: Mapping[str, Any]) -> str:
    if media_type == "application/json":
        return _type(content["schema"])
    return code(media_type)


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    parts = [f"### {name}", schema.get("description", "")]
    if "properties" in schema:
        parts.append(_fields(schema))
    else:
        parts.append(_type(schema))
    if "examples" in schema:
        example = json.dumps(schema["examples"][0], ensure_ascii=False)
        parts.append(block(example, "json"))
    return "\n\n".join(part for part in parts if part)


def _fields(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (code(name), _type(field), "yes" if name in required else "no", _about(field))
        for name, field in schema["properties"].items()
    ]
    return table(["field", "type", "required", "meaning"], rows)


def _about(field: Mapping[str, Any]) -> str:
    """Return the description of a field or parameter, its limits and its default."""
    schema = field.get("schema", field)
    text = field.get("description", schema.get("description", ""))
    default = schema.get("default")
    if default in (None, []):
        return str(text)
    return f"{text} Default: {code(json.dumps(default, ensure_ascii=False))}.".strip()


def _type(schema: Mapping[str, Any]) -> str:  # noqa: PLR0911 - one per kind of type
    """Return a short description of a type, with links to the schemas of this page."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REFERENCE)
        return f"[`{name}`](#{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _join(_type(each) for each in schema[key])
    if "enum" in schema:
        return _join(code(json.dumps(value)) for value in schema["enum"])
    if "const" in schema:
        return code(json.dumps(schema["const"]))
    if schema.get("type") == "array":
        return f"array of {_type(schema['items'])}{_limits(schema, 'minItems', 'maxItems')}"
    if "type" not in schema:
        return "any"
    name = "file" if schema.get("format") == "binary" else schema["type"]
    pattern = f" matching `{schema['pattern']}`" if "pattern" in schema else ""
    return f"{name}{pattern}{_limits(schema, 'minimum', 'maximum')}"


def _join(names: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(names))


def _limits(schema: Mapping[str, Any], low: str, high: str) -> str:
    if low in schema and high in schema:
        return f", {schema[low]:g} to {schema[high]:g}"
    if low in schema:
        return f", at least {schema[low]:g}"
    return f", at most {schema[high]:g}" if high in schema else ""
