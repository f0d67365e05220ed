"""Texts of a job, out of a JSON body or an uploaded file, cut into parcels. A file is read piece by piece."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, BinaryIO

from starlette.concurrency import iterate_in_threadpool

from hanner_gateway.problems import ProblemError

PARCEL_TEXTS = 32
PARCEL_CHARACTERS = 16_384
"""Size of one request to a worker: enough that sending costs little, small enough that all workers get some."""
TOGETHER = 16
"""Parcels that are written to Redis in one round trip."""
KINDS = (".txt", ".jsonl")


def parcels(texts: Iterable[str]) -> Iterator[list[str]]:
    """Cut texts into parcels."""
    gathered: list[str] = []
    characters = 0
    for text in texts:
        gathered.append(text)
        characters += len(text)
        if len(gathered) >= PARCEL_TEXTS or characters >= PARCEL_CHARACTERS:
            yield gathered
            gathered, characters = [], 0
    if gathered:
        yield gathered


def batches(texts: Iterable[str]) -> Iterator[list[list[str]]]:
    """Cut texts into lists of parcels."""
    gathered: list[list[str]] = []
    for parcel in parcels(texts):
        gathered.append(parcel)
        if len(gathered) >= TOGETHER:
            yield gathered
            gathered = []
    if gathered:
        yield gathered


def lines(file: BinaryIO, name: str, longest: int) -> Iterator[str]:
    """Yield the texts of a file: a .txt has one on each line, a .jsonl on each line a string or an object with `text`.

    Blank lines of a .jsonl are skipped; those of a .txt are texts without entities.

    Args:
        file: What was uploaded.
        name: Its name, which tells its kind.
        longest: Bytes that a line may have, so that no line fills the memory.

    Raises:
        ProblemError: the file is of another kind, is not UTF-8, or a line is too long or has no text.
    """
    if not name.lower().endswith(KINDS):
        raise ProblemError(415, "upload a .txt with one text on each line, or a .jsonl; nothing else is read")
    json_lines = name.lower().endswith(".jsonl")
    for number, raw in enumerate(iter(lambda: file.readline(longest), b""), 1):
        if len(raw) >= longest:
            reason = f"line {number} is longer than {longest:,} bytes; put each text on a line of its own"
            raise ProblemError(422, reason, code="invalid_text")
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            reason = f"line {number} is not UTF-8 ({error.reason}); convert the file, for example with iconv -t utf-8"
            raise ProblemError(422, reason, code="invalid_text") from None
        if not json_lines:
            yield line
        elif line.strip():
            yield _text(line, number)


def _text(line: str, number: int) -> str:
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise ProblemError(422, f"line {number} is no valid JSON", code="invalid_text") from None
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str):
        reason = f'line {number} has no text: each line is a string, or an object such as {{"text": "…"}}'
        raise ProblemError(422, reason, code="invalid_text")
    return text


async def threaded(source: Iterator[list[list[str]]]) -> AsyncIterator[list[list[str]]]:
    """Yield what a blocking iterator yields, each step of it done in a thread.

    Raises:
        ProblemError: there is nothing.
    """
    empty = True
    async for several in iterate_in_threadpool(source):
        empty = False
        yield several
    if empty:
        raise ProblemError(422, "there is no text in it; send at least one", code="invalid_text")
