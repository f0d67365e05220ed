"""The texts of a job, read from a JSON body or from an uploaded file, and cut into chunks. Files are read lazily."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, BinaryIO

from starlette.concurrency import iterate_in_threadpool

from hanner_gateway.problems import ProblemError

CHUNK_TEXTS = 32
CHUNK_CHARACTERS = 16_384
"""Size of one request to a worker: large enough to send cheaply, small enough that all workers get a share."""
GROUP_CHUNKS = 16
"""Chunks that are written to Redis in one round trip."""
SUFFIXES = (".txt", ".jsonl")


def make_chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield the texts in chunks."""
    chunk: list[str] = []
    characters = 0
    for text in texts:
        chunk.append(text)
        characters += len(text)
        if len(chunk) >= CHUNK_TEXTS or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def group_chunks(texts: Iterable[str]) -> Iterator[list[list[str]]]:
    """Yield the texts in groups of chunks."""
    group: list[list[str]] = []
    for chunk in make_chunks(texts):
        group.append(chunk)
        if len(group) >= GROUP_CHUNKS:
            yield group
            group = []
    if group:
        yield group


def limit_texts(texts: Iterable[str], limit: int) -> Iterator[str]:
    """Yield the texts.

    Raises:
        ProblemError: there are more than `limit`.
    """
    for number, text in enumerate(texts, 1):
        if number > limit:
            detail = f"the job has more than {limit:,} texts; split it, or raise HANNER_MAX_JOB_TEXTS"
            raise ProblemError(413, detail, code="too_many_texts", limit=limit)
        yield text


def read_texts(file: BinaryIO, name: str, max_line_bytes: int) -> Iterator[str]:
    """Yield the texts of a file: each line of a .txt; each line of a .jsonl, a string or an object with `text`.

    Blank lines of a .jsonl are skipped; those of a .txt are texts without entities.

    Args:
        file: The uploaded file.
        name: Its name; the suffix is the format.
        max_line_bytes: Maximum length of a line, which bounds the memory.

    Raises:
        ProblemError: the file has another format or is not UTF-8, or a line is too long or has no text.
    """
    if not name.lower().endswith(SUFFIXES):
        raise ProblemError(
            415, "the file is neither .txt nor .jsonl; upload a .txt with one text per line, or a .jsonl"
        )
    is_jsonl = name.lower().endswith(".jsonl")
    for number, raw in enumerate(iter(lambda: file.readline(max_line_bytes), b""), 1):
        if len(raw) >= max_line_bytes:
            reason = f"line {number} is longer than {max_line_bytes:,} bytes; put each text on a line of its own"
            raise ProblemError(422, reason, code="invalid_text")
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            reason = f"line {number} is not UTF-8 ({error.reason}); convert the file, for example with iconv -t utf-8"
            raise ProblemError(422, reason, code="invalid_text") from None
        if not is_jsonl:
            yield line
        elif line.strip():
            yield _text_of_json(line, number)


def _text_of_json(line: str, number: int) -> str:
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise ProblemError(422, f"line {number} is not valid JSON", code="invalid_text") from None
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str):
        reason = f'line {number} has no text; write a string, or an object such as {{"text": "…"}}'
        raise ProblemError(422, reason, code="invalid_text")
    return text


async def iterate_in_thread(source: Iterator[list[list[str]]]) -> AsyncIterator[list[list[str]]]:
    """Yield the groups of a blocking iterator; each step runs in a thread.

    Raises:
        ProblemError: there is no text.
    """
    empty = True
    async for group in iterate_in_threadpool(source):
        empty = False
        yield group
    if empty:
        raise ProblemError(422, "there is no text; send at least one", code="invalid_text")
