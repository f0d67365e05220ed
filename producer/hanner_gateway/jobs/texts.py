"""The texts of a job, read from a JSON body or from an uploaded file, and cut into chunks. Files are read lazily.

`hanner.files` reads the files, as for `hanner extract`. Workbooks and compressed files are not accepted, because they
may have any size when they are read. JSON, which is read as a whole, is limited in size.
"""

import io
import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from starlette.concurrency import iterate_in_threadpool

from hanner.errors import InvalidText
from hanner.files.options import FileFormat, InputItem, InputOptions
from hanner.files.read import read_source
from hanner.files.sources import SUFFIXES, Source, choose_format, is_compressed
from hanner_gateway.problems import ProblemError

CHUNK_TEXTS = 32
CHUNK_CHARACTERS = 16_384
"""Size of one request to a worker: large enough to send cheaply, small enough that all workers get a share."""
GROUP_CHUNKS = 16
"""Chunks that are written to Redis in one round trip."""
FORMATS = frozenset(FileFormat) - {FileFormat.EXCEL}
ACCEPTED = tuple(suffix for suffix, form in SUFFIXES.items() if form in FORMATS)
"""Suffixes of files that can be uploaded."""
_OPTION = re.compile(r"--(member|column|encoding)\b")
_COMMAND_ADVICE = re.compile(r"; for a workbook,.*| or add --input-format jsonl")


def make_chunks(items: Iterable[InputItem]) -> Iterator[list[InputItem]]:
    """Yield the items in chunks."""
    chunk: list[InputItem] = []
    characters = 0
    for item in items:
        chunk.append(item)
        characters += len(item.text or "") + (len(json.dumps(item.fields)) if item.fields else 0)
        if len(chunk) >= CHUNK_TEXTS or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def group_chunks(items: Iterable[InputItem]) -> Iterator[list[list[InputItem]]]:
    """Yield the items in groups of chunks."""
    group: list[list[InputItem]] = []
    for chunk in make_chunks(items):
        group.append(chunk)
        if len(group) >= GROUP_CHUNKS:
            yield group
            group = []
    if group:
        yield group


def limit_texts(items: Iterable[InputItem], limit: int) -> Iterator[InputItem]:
    """Yield the items.

    Raises:
        ProblemError: there are more than `limit`.
    """
    for number, item in enumerate(items, 1):
        if number > limit:
            detail = f"the job has more than {limit:,} texts; split it, or raise HANNER_MAX_JOB_TEXTS"
            raise ProblemError(413, detail, code="too_many_texts", limit=limit)
        yield item


def read_upload(file: BinaryIO, name: str, options: InputOptions) -> Iterator[InputItem]:
    """Yield the texts of an uploaded file. A line that cannot be read fails alone; its item has the error.

    Args:
        file: The uploaded file.
        name: Its name; the suffix is the format.
        options: How it is read.

    Raises:
        ProblemError: the format is not accepted, the file cannot be read as a whole, or no line has a text.
    """
    if not name.lower().endswith(ACCEPTED):
        raise ProblemError(415, f"{_shown(name)} cannot be read; upload a file that ends with {', '.join(ACCEPTED)}")
    start = file.read(8)
    if is_compressed(start):
        raise ProblemError(415, f"{_shown(name)} is compressed; decompress it, or use `hanner extract` for such files")
    if choose_format(Path(name)) is FileFormat.JSON and file.seek(0, io.SEEK_END) > options.max_bytes:
        detail = f"{_shown(name)} has more than {options.max_bytes:,} bytes; upload a .jsonl file, which is streamed"
        raise ProblemError(413, detail, code="too_large", limit=options.max_bytes)
    file.seek(0)
    first_error: str | None = None
    readable = False
    try:
        for item in read_source(Source(Path(name), file), options):
            if item.error is None and _is_json(item.fields):
                readable = True
                yield item
            elif item.error is None:
                yield InputItem(item.text, "a member of this line is NaN or infinite, which JSON has not")
            else:
                error = for_form(item.error)
                first_error = first_error or error
                yield InputItem(item.text, error, item.fields)
    except InvalidText as error:
        raise ProblemError(422, for_form(str(error)), code="invalid_text") from None
    if first_error and not readable:
        raise ProblemError(422, first_error, code="invalid_text")


def _is_json(fields: Mapping[str, Any]) -> bool:
    """Return whether the fields are JSON: Python reads and writes NaN and Infinity, which others reject."""
    try:
        json.dumps(fields, allow_nan=False)
    except ValueError:
        return False
    return True


def for_form(message: str) -> str:
    """Return a message of `hanner.files` with the fields of the form in place of the command's options."""
    return _OPTION.sub(r"the field \1", _COMMAND_ADVICE.sub("", message))


def _shown(name: str) -> str:
    return repr(name[-100:]) if name else "a file without a name"


async def iterate_in_thread(source: Iterator[list[list[InputItem]]]) -> AsyncIterator[list[list[InputItem]]]:
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
