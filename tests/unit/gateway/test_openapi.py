"""The committed OpenAPI document."""

import json

from hanner_gateway.openapi import PATH, render

DOCUMENT = json.loads(PATH.read_text("utf-8"))


def test_committed_document_is_current():
    assert PATH.read_text("utf-8") == render(), "run: python -m hanner_gateway.openapi"


def test_every_reference_resolves():
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


def test_every_operation_has_a_summary_a_description_and_problem_responses():
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            assert operation["description"], path
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (path, method, status)
