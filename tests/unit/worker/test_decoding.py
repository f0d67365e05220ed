"""Messages are decoded within limits of size, compression and structure."""

import base64
import json
import zlib

import pytest

from hanner.errors import InvalidText, WorkerLost
from hanner_worker.delivery.decoding import (
    FAULT,
    KEPT_BYTES,
    MAX_ELEMENTS,
    SIZE,
    TooManyElementsError,
    check_elements,
    decode,
    decompress,
    find_headers,
)

LIMIT = 1 << 20


def make(body="", headers=None, **properties):
    message = {"body": body, "headers": {"id": "a", **(headers or {})}, "properties": properties}
    return json.dumps(message).encode()


def test_a_message_is_decoded_with_its_size():
    raw = make("e30=", delivery_tag="x", **{FAULT: "forged", SIZE: -1})
    assert decode(raw, LIMIT) == {
        "body": "e30=",
        "headers": {"id": "a"},
        "properties": {"delivery_tag": "x", SIZE: len(raw)},
    }


@pytest.mark.parametrize("takeovers", [1, 2])
def test_a_message_with_few_takeovers_is_decoded(takeovers):
    assert decode(b"takeovers %d\n" % takeovers + make("e30="), LIMIT)["body"] == "e30="


def test_a_message_with_many_takeovers_is_not_decoded():
    message = decode(b'takeovers 3\n{"body": bomb, "headers": {"id": "a"}}', LIMIT)
    assert isinstance(message["properties"][FAULT], WorkerLost)
    assert (message["body"], message["headers"]) == ("", {"id": "a"})


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"null", b'{"body": 1}', b"oversized 5\nx\ny", b"takeovers 9\n{}", b"oversized"]
)
def test_what_is_not_a_message_raises_an_exception(raw):
    with pytest.raises(Exception):  # noqa: B017, PT011 - the caller catches all
        decode(raw, LIMIT)


def test_headers_are_found_at_either_end_of_a_message():
    headers = {"id": "a", "task": "t"}
    body = json.dumps('", "headers": {"id": "forged"}' * KEPT_BYTES)
    for raw in (
        f'{{"body": {body}, "headers": {json.dumps(headers)}}}',
        f'{{"headers":{json.dumps(headers)},"body":{body}}}',
    ):
        assert find_headers(raw.encode()) == headers


@pytest.mark.parametrize(
    "headers", ["{", '{"task": "t"}', '{"id": 5}', '{"id": ""}', '{"id": "' + "x" * 1001 + '"}', "{" * 9999]
)
def test_headers_without_a_usable_id_are_not_found(headers):
    assert find_headers(f'{{"body": "", "headers": {headers}'.encode()) is None


@pytest.mark.parametrize(
    "make_value",
    [
        lambda: ["," * MAX_ELEMENTS * 3],
        lambda: ['[{"\\' * MAX_ELEMENTS],
        lambda: ["马云"] * (MAX_ELEMENTS - 9),
        lambda: [0] * MAX_ELEMENTS,
    ],
    ids=["commas in a text", "brackets and escapes in a text", "many texts", "many numbers"],
)
def test_documents_with_few_values_are_allowed(make_value):
    check_elements(json.dumps(make_value()).encode())


@pytest.mark.parametrize(
    "make_document",
    [
        lambda: b"[" * 3 * MAX_ELEMENTS,
        lambda: b"[" + b"{}," * 3 * MAX_ELEMENTS,
        lambda: json.dumps(["a"] * 3 * MAX_ELEMENTS).encode(),
        lambda: json.dumps(dict.fromkeys(map(str, range(2 * MAX_ELEMENTS)))).encode(),
        lambda: b'"' + b'\\"' * 9 + b'",' * 3 * MAX_ELEMENTS,
    ],
    ids=["arrays", "objects", "strings", "keys", "broken"],
)
def test_documents_with_too_many_values_are_refused(make_document):
    with pytest.raises(TooManyElementsError):
        check_elements(make_document())


def test_an_unfinished_string_of_escaped_quotes_is_scanned_once():
    check_elements(b'{"' + b'\\",' * 500_000)  # minutes if each quote started another scan


def test_a_message_with_too_many_values_has_a_fault():
    message = decode(make(x=[0] * 3 * MAX_ELEMENTS), LIMIT)
    assert isinstance(message["properties"][FAULT], InvalidText)


def test_a_body_may_be_as_large_as_the_limit():
    body = zlib.compress(b"x" * LIMIT)
    assert decompress(body, "gzip", LIMIT) == b"x" * LIMIT
    with pytest.raises(InvalidText, match="at least 1,048,576 bytes and the limit is 1,048,575"):
        decompress(body, "gzip", LIMIT - 1)


def test_a_compressed_body_without_base64_is_decoded():
    body = base64.b64encode(zlib.compress(b"{}")).decode()
    assert decode(make(body, {"compression": "zlib"}, body_encoding="base64"), LIMIT)["body"] == b"{}"
    assert FAULT in decode(make("{}", {"compression": "zlib"}), LIMIT)["properties"]
