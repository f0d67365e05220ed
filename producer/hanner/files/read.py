"""Reads the texts of all inputs, in order and lazily: arguments, then files."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from hanner.files import html_text
from hanner.files.lines import TooLargeError, read_lines, read_text
from hanner.files.objects import read_json_array, read_json_lines
from hanner.files.options import FileFormat, InputItem, InputOptions
from hanner.files.sources import Source, check_is_text, choose_format, open_source
from hanner.files.tables import read_csv, read_workbook

FILE = "file"
"""Member with the name of the file, if several files are read."""


def read_items(texts: Iterable[str], files: list[Path], options: InputOptions) -> Iterator[InputItem]:
    """Yield the texts given as arguments, then those of the files.

    Args:
        texts: Texts.
        files: Files; see `sources.expand`.
        options: How the files are read.

    Raises:
        InvalidText: a file cannot be read as a whole; its name and the reason are in the message.
    """
    for text in texts:
        yield InputItem(text)
    base = 0
    for path in files:
        with open_source(path) as source:
            for item in read_source(source, options):
                fields = {FILE: source.name} | dict(item.fields) if len(files) > 1 else item.fields
                yield replace(item, fields=fields, offset=base + source.position())
            base += source.position()


def read_source(source: Source, options: InputOptions) -> Iterator[InputItem]:
    """Return the texts of one file.

    Raises:
        InvalidText: it cannot be read as a whole; its name and the reason are in the message.
    """
    form = options.format or choose_format(source.path)
    if form is FileFormat.EXCEL and not options.whole:
        return read_workbook(source, options)
    check_is_text(source)
    if form is FileFormat.HTML:
        return _read_html(source, options)
    if options.whole:
        return _read_whole(source, options)
    if form in {FileFormat.CSV, FileFormat.TSV}:
        return read_csv(source, options, form)
    return _READERS.get(form, _read_plain)(source, options)


def _read_plain(source: Source, options: InputOptions) -> Iterator[InputItem]:
    """Yield each line as a text."""
    for line in read_lines(source, options):
        text = None if line.text is None else line.text.removesuffix("\n").rstrip("\r")
        yield InputItem(text, line.error and f"line {line.number:,} of {source.name} {line.error}")


def _read_whole(source: Source, options: InputOptions) -> Iterator[InputItem]:
    """Yield the file as one text."""
    try:
        yield InputItem(read_text(source, options, limit=options.max_bytes))
    except TooLargeError as error:
        yield InputItem(None, str(error))


def _read_html(source: Source, options: InputOptions) -> Iterator[InputItem]:
    """Yield the visible text of a page; offsets of entities count its characters."""
    with source.errors():
        declared = html_text.declared_encoding(source.stream.peek(1))
    try:
        page = read_text(source, options, declared=declared, limit=options.max_bytes)
    except TooLargeError as error:
        yield InputItem(None, str(error))
    else:
        yield InputItem(html_text.html_to_text(page))


_READERS = {FileFormat.JSONL: read_json_lines, FileFormat.JSON: read_json_array}
