"""`nerq extract`: entities of texts given as arguments, in files, or on stdin."""

import json
import sys
from collections.abc import Iterator
from itertools import chain, tee
from pathlib import Path
from typing import Annotated, Any

import typer

from nerq.client import Client
from nerq.contract import Document, ErrorCode
from nerq.errors import InvalidText


def extract(
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT…", help="Texts; - reads stdin.")] = None,
    files: Annotated[
        list[Path] | None, typer.Option("--file", "-f", help="UTF-8 file, a text on each line; - is stdin. Repeatable.")
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Take each file as one text.")] = False,
    broker: Annotated[str | None, typer.Option(help="Redis to use, in place of NERQ_BROKER_URL.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait for an answer.", min=0.001)] = None,
) -> None:
    """Print the entities of texts: a table in a terminal, one JSON document per line in a pipe."""
    given = list(texts or [])
    sources = [*(files or [])]
    if "-" in given:
        given = [text for text in given if text != "-"]
        sources.append(Path("-"))
    if not given and not sources:
        raise InvalidText("no text was given; name texts, -f FILE, or - for stdin")
    overrides: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    with Client(broker, **overrides) as ner:
        kept, sent = tee(chain(given, chain.from_iterable(_texts(path, whole=whole) for path in sources)))
        answers = zip(kept, ner.stream(sent), strict=True)
        problems = _print_table(answers) if sys.stdout.isatty() else _print_lines(answers)
    if problems:
        raise typer.Exit(2 if problems == {ErrorCode.INVALID_TEXT} else 1)


def _texts(path: Path, *, whole: bool) -> Iterator[str]:
    """Yield the texts of a file.

    Raises:
        InvalidText: it cannot be read.
    """
    try:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as file:
            if whole:
                yield file.read().decode()
            else:
                for line in file:
                    yield line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InvalidText(
            f"{path} is not UTF-8 ({error.reason}); convert it, for example with iconv -t utf-8"
        ) from None
    except OSError as error:
        raise InvalidText(f"{path} cannot be read: {error.strerror}") from None


def _print_lines(answers: Iterator[tuple[str, Document]]) -> set[str]:
    problems = set()
    for text, document in answers:
        line = {"text": text, **document.model_dump(exclude_none=True)}
        print(json.dumps(line, ensure_ascii=not _encodable(text)), flush=True)
        if document.error:
            problems.add(document.error.code)
    return problems


def _print_table(answers: Iterator[tuple[str, Document]]) -> set[str]:
    from nerq.cli import render  # noqa: PLC0415 - rich takes its time, and pipes do without

    problems, rows, number = set(), [], 0
    for number, (_, document) in enumerate(answers, 1):
        rows += [(number, entity) for entity in document.entities]
        if document.error:
            problems.add(document.error.code)
            print(f"nerq: text {number}: {document.error.message}", file=sys.stderr)
    if rows:
        render.console().print(render.table(rows))
    elif not problems:
        print(f"No entities in {number} text{'s' if number != 1 else ''}.")
    return problems


def _encodable(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
