"""The OpenAPI document that is kept."""

import json

from hanner_gateway.openapi import KEPT, rendered

DOCUMENT = json.loads(KEPT.read_text("utf-8"))


def test_it_is_the_live_one():
    assert KEPT.read_text("utf-8") == rendered(), "run: python -m hanner_gateway.openapi"


def test_every_reference_leads_somewhere():
    def references(value):
        if isinstance(value, dict):
            yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                yield from references(each)

    found = set(references(DOCUMENT))
    assert "#/components/schemas/JobRequest" in found
    for reference in found:
        assert reference.removeprefix("#/components/schemas/") in DOCUMENT["components"]["schemas"], reference


def test_every_operation_says_what_it_is_and_which_problems_it_has():
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            assert operation["description"], path
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (path, method, status)
