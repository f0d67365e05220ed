"""Decodes the raw messages of the queue within limits of size, compression and structure. No I/O.

Any client may send a message, and one that exhausts the memory of the worker's parent would end one worker after the
other. So nothing is decoded or decompressed before its size is known to be within the limit. A message that breaks a
limit is decoded as far as its sender needs for an error: its headers.
"""

import base64
import bz2
import importlib
import json
import lzma
import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from hanner.contract import size_error
from hanner.errors import HannerError, InvalidText, WorkerLost
from hanner.utils.json import loads

KEPT_BYTES: Final = 65_536
"""Bytes of the start and of the end of a message that is too large, in which its headers are searched."""
MAX_TAKEOVERS: Final = 3
"""A message becomes a dead letter when this many workers died that had just fetched it."""
MAX_ELEMENTS: Final = 200_000
"""Maximum number of arrays, objects and their elements in a message: 12 MB of JSON can decode into 700 MB."""
MAX_ID_LENGTH: Final = 1000
"""Maximum length of a task id, in code points."""
LZMA_MEMORY: Final = 128 << 20
"""Bytes that LZMA may use for its dictionary, which the sender chooses."""
CHECKED_FROM: Final = 131_072
"""Bytes from which the elements of a document are counted; smaller ones are harmless."""

FAULT: Final = "hanner_fault"
"""Property of a message that must not be processed: the error for its sender, a HannerError."""
SIZE: Final = "hanner_size"
"""Property of a message: its size in the queue, in bytes."""

_OVERSIZED: Final = re.compile(rb"oversized (\d+)\n")
_TAKEOVERS: Final = re.compile(rb"takeovers (\d+)\n")
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
"""A JSON string. The closing quote is optional, so that no string is scanned twice."""
_HEADERS: Final = re.compile(r'"headers"\s*:\s*(?=\{)')
_ELEMENT_MARKS: Final = (b",", b"[", b"{")


class TooManyElementsError(ValueError):
    """A document has more than MAX_ELEMENTS elements."""


def decode(raw: bytes, max_bytes: int) -> dict[str, Any]:
    """Return a message as kombu's transports use it: a dict with a body that is not compressed.

    Args:
        raw: an element of the queue's list, as fetch.lua returns it.
        max_bytes: maximum size of the message, and of its decompressed body.

    Returns:
        The message. Its properties have SIZE. If it must not be processed they also have FAULT, and its body is empty.

    Raises:
        Exception: it is not a message, or its headers are not found.
    """
    size = len(raw)
    if not raw.startswith(b"{"):
        if found := _OVERSIZED.match(raw):
            return _with_fault(raw[found.end() :], InvalidText(size_error(int(found[1]), max_bytes)))
        if found := _TAKEOVERS.match(raw):
            raw = raw[found.end() :]
            if int(found[1]) >= MAX_TAKEOVERS:
                return _with_fault(raw, WorkerLost())
    try:
        check_elements(raw)
    except TooManyElementsError as error:
        return _with_fault(raw, InvalidText(str(error)))
    message = loads(raw)
    properties, headers = message["properties"], message["headers"]
    if not isinstance(message["body"], str) or not isinstance(headers, dict) or not isinstance(properties, dict):
        raise TypeError("body must be a string, headers and properties objects")
    properties.pop(FAULT, None)
    properties[SIZE] = size
    if headers.get("compression"):
        _decompress_body(message, max_bytes)
    return message  # type: ignore[no-any-return]


def check_elements(document: bytes) -> None:
    """Count the elements of a JSON document without decoding it.

    Raises:
        TooManyElementsError: there are more than MAX_ELEMENTS.
    """
    if len(document) < CHECKED_FROM or sum(map(document.count, _ELEMENT_MARKS)) <= MAX_ELEMENTS:
        return
    count = start = 0
    for string in _STRING.finditer(document):  # a text may have any number of commas
        count += 1 + sum(document.count(mark, start, string.start()) for mark in _ELEMENT_MARKS)
        start = string.end()
        if count > 2 * MAX_ELEMENTS:
            break
    else:
        count += sum(document.count(mark, start) for mark in _ELEMENT_MARKS)
    if count > 2 * MAX_ELEMENTS:  # a string is counted, and the mark in front of it
        raise TooManyElementsError(f"the message has more than {MAX_ELEMENTS:,} JSON values; split it")


def _with_fault(raw: bytes, fault: HannerError) -> dict[str, Any]:
    """Return a message that is not decoded, with its headers and a fault.

    Raises:
        LookupError: its headers are not found.
    """
    headers = find_headers(raw)
    if headers is None:
        raise LookupError("the message breaks a limit, and has no headers")
    properties = {FAULT: fault, SIZE: len(raw)}
    return {"body": "", "content-type": "", "content-encoding": "", "headers": headers, "properties": properties}


def find_headers(raw: bytes) -> dict[str, Any] | None:
    """Return the headers of a message from its last or first KEPT_BYTES, or None.

    Within a JSON string every quote is escaped, so text cannot be mistaken for the headers.
    """
    for part in (raw[-KEPT_BYTES:], raw[:KEPT_BYTES]):
        text = part.decode("utf-8", "replace")
        for found in _HEADERS.finditer(text):
            try:
                headers, _ = json.JSONDecoder().raw_decode(text, found.end())
            except (ValueError, RecursionError):
                continue
            if isinstance(headers, dict) and _is_id(headers.get("id")):
                return headers
    return None


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MAX_ID_LENGTH


def _decompress_body(message: dict[str, Any], max_bytes: int) -> None:
    """Replace a compressed body by the decompressed one, or set a fault."""
    properties, headers = message["properties"], message["headers"]
    method = headers.pop("compression")
    try:
        if properties.pop("body_encoding", None) == "base64":
            body = base64.b64decode(message["body"])
        else:
            body = message["body"].encode()
        message["body"] = decompress(body, method, max_bytes)
    except HannerError as error:
        properties[FAULT], message["body"] = error, ""
    except Exception as error:  # noqa: BLE001 - each library has its own errors
        # The error's message may quote the body.
        reason = f"the body cannot be decompressed ({type(error).__name__}); send it without compression"
        properties[FAULT], message["body"] = InvalidText(reason), ""


def decompress(body: bytes, method: object, max_bytes: int) -> bytes:
    """Return a decompressed body; of a larger one, not more than `max_bytes` + 1 are ever in memory.

    Raises:
        InvalidText: the method is not supported, the result is too large, or the input is incomplete.
        Exception: the library refuses the input.
    """
    make = _DECOMPRESSORS.get(method) if isinstance(method, str) else None
    if make is None:
        names = ", ".join(name for name in _DECOMPRESSORS if "/" not in name)
        raise InvalidText(f"the compression of the message is not supported; use one of {names}, or none")
    decompressor = make()
    result: bytes = decompressor.decompress(body, max_bytes + 1)
    if len(result) > max_bytes:
        raise InvalidText(size_error(len(result), max_bytes, at_least=True))
    if not decompressor.eof:
        raise InvalidText("the compressed body is incomplete; send it again")
    return result


def _decompressors() -> dict[str, Callable[[], Any]]:
    """Return by kombu's names what makes a decompressor whose output can be limited."""
    kinds: dict[tuple[str, ...], Callable[[], Any]] = {
        ("gzip", "zlib", "application/x-gzip"): lambda: zlib.decompressobj(zlib.MAX_WBITS | 32),  # either header
        ("bzip2", "bzip", "application/x-bz2"): bz2.BZ2Decompressor,
        ("lzma", "xz", "application/x-lzma"): lambda: lzma.LZMADecompressor(memlimit=LZMA_MEMORY),
    }
    for module in ("compression.zstd", "backports.zstd"):  # kombu's own choice
        with suppress(ImportError):
            kinds["zstd", "zstandard", "application/zstd"] = importlib.import_module(module).ZstdDecompressor
    return {name: make for names, make in kinds.items() for name in names}


_DECOMPRESSORS: Final = _decompressors()
