"""`hanner extract`: entities of texts given as arguments, in files, or on stdin."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from hanner.cli.extraction import Extraction, Way
from hanner.cli.formats import FormatName, line_format, name_for
from hanner.cli.io.inputs import STDIN, Reading, items, total_bytes
from hanner.cli.io.output_files import BRAT_TEXTS, BratFolder, DocBinFile, LineFile
from hanner.cli.io.outputs import Output, Pipe, Table
from hanner.cli.usage_error import Misused
from hanner.client import Client
from hanner.contract import ErrorCode
from hanner.queue.routing import Priority


def extract(
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Texts; - reads stdin.")] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file", "-f", help="File with a text on each line, or .jsonl with a text in each; - is stdin. Repeatable."
        ),
    ] = None,
    form: Annotated[
        FormatName | None,
        typer.Option("--format", help="What is written; by default a table in a terminal, else jsonl."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write, for brat a folder; stdout without it.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier run stopped in writing --output.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite --output.")] = False,
    whole: Annotated[bool, typer.Option("--whole", help="Take each file as one text.")] = False,
    json_lines: Annotated[
        bool | None, typer.Option("--jsonl/--text", help="Whether lines are JSON; by default as the file's name says.")
    ] = None,
    member: Annotated[str, typer.Option("--member", help="Which member of a JSON line is the text.")] = "text",
    encoding: Annotated[str, typer.Option(help="Encoding of the files, such as gb18030.")] = "utf-8",
    broker: Annotated[str | None, typer.Option(help="Redis to use, in place of HANNER_BROKER_URL.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait for an answer.", min=0.001)] = None,
    priority: Annotated[
        Priority | None,
        typer.Option(help="Whether to go before bulk work; by default texts named here do, files do not."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model to ask, by name; HANNER_ROUTES says where it is.")] = None,
) -> None:
    """Print the entities of texts: a table in a terminal, one JSON document per line in a pipe.

    A text that fails keeps its place, with its error. Exit code 0: all texts were answered. 1: some were not, or
    something failed. 2: it was asked for in a wrong way, or the texts that failed were all invalid. 130: interrupted.
    """
    given = list(texts or [])
    sources = [*(files or [])]
    if "-" in given:
        given = [text for text in given if text != "-"]
        sources.append(STDIN)
    if not given and not sources:
        raise Misused("no text was given; name texts, -f FILE, or - for stdin")
    if (resume or force) and output is None:
        raise Misused("--resume and --force are for a file; name it with --output")
    overrides: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    terminal = sys.stdout.isatty()
    form = form or name_for(output, terminal=terminal)
    with Client(broker, **overrides) as ner, contextlib.ExitStack() as stack:
        reading = Reading(encoding, json_lines, member, whole=whole, max_chars=ner.settings.max_text_chars)
        out = _open(form, output, again=_Again(resume, force), brat_texts=1 if whole else BRAT_TEXTS)
        stack.callback(out.close)
        priority = priority or (Priority.BULK if sources else Priority.INTERACTIVE)
        extraction = Extraction(ner, items(given, sources, reading), out, form, output, Way(priority.value, model))
        total = None if given else total_bytes(sources)
        extraction.run(total, bar=bool(sources) and (output is not None or not terminal or form is FormatName.TABLE))
    if extraction.problems:
        raise typer.Exit(2 if set(extraction.problems) == {ErrorCode.INVALID_TEXT} else 1)


class _Again(NamedTuple):
    """What to do with an output that exists."""

    resume: bool
    force: bool


def _open(form: FormatName, path: Path | None, *, again: _Again, brat_texts: int) -> Output:
    """Open the output.

    Raises:
        Misused: it exists, or the format cannot be written there.
        HannerError: the disk refuses.
    """
    if path is None:
        if form is FormatName.BRAT:
            raise Misused("brat needs two files for each document; name a folder for them with --output")
        return Table() if form is FormatName.TABLE else Pipe(line_format(form))
    if form is FormatName.TABLE:
        raise Misused("a table is for people; name another --format for a file, such as jsonl")
    if not any(again) and _holds_something(path):
        raise Misused(f"{path} exists; go on with it by --resume, or overwrite it by --force")
    if form is FormatName.BRAT:
        return BratFolder(path, resume=again.resume, texts=brat_texts)
    if path.suffix.lower() == ".spacy":
        if form is not FormatName.SPACY:
            raise Misused(f"{path} would be taken for a DocBin; name it otherwise, or add --format spacy")
        if again.resume:
            raise Misused("a .spacy file is written as a whole and cannot be resumed; write JSON lines to a .jsonl")
        return DocBinFile(path)
    return LineFile(path, line_format(form), resume=again.resume)


def _holds_something(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and any(path.iterdir()))
