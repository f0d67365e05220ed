"""`hanner extract`: extracts the entities of texts given as arguments, in files, or on stdin.

Reads with io.inputs, streams through the client, and writes with io.outputs; an interrupted run can be resumed.
"""

import contextlib
import sys
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hanner.cli import terminal
from hanner.cli.errors import FAILURE, INTERRUPTED, WRONG_USAGE, UsageError
from hanner.cli.formats import (
    TABLES,
    FormatName,
    Record,
    RowUnit,
    default_format,
    line_format,
    needs_model,
    suffix_format,
)
from hanner.cli.io.inputs import choose_inputs, notify
from hanner.cli.io.outputs import BRAT_TEXTS, BratFolder, DocBinFile, LineFile, Output, StdoutLines, StdoutTable
from hanner.cli.io.tables import open_table
from hanner.cli.probe import WorkerNotice, find_missing_worker, query_model
from hanner.contract import ErrorCode
from hanner.errors import HannerError, TimedOut
from hanner.files.options import FileFormat, InputItem, InputOptions
from hanner.files.read import read_items
from hanner.files.sources import total_bytes
from hanner.queue.routing import Priority

if TYPE_CHECKING:
    from hanner.client import Client
    from hanner.results import Document


def extract(
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Texts; - reads stdin.")] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file", "-f", help="File, folder or pattern; - is stdin. Repeatable. With it all arguments are files."
        ),
    ] = None,
    form: Annotated[
        FormatName | None,
        typer.Option("--format", help="Output format. Default: by the suffix of --output; table in a terminal."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output file; for brat a folder. Default: stdout.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an --output of an interrupted run.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing --output.")] = False,
    rows: Annotated[
        RowUnit, typer.Option("--rows", help="Rows of csv, tsv, xlsx and parquet: one per entity, or one per text.")
    ] = RowUnit.ENTITIES,
    whole: Annotated[bool, typer.Option("--whole", help="Read each file as one text.")] = False,
    input_format: Annotated[
        FileFormat | None, typer.Option("--input-format", help="Input format. Default: by the file's suffix.")
    ] = None,
    column: Annotated[
        str | None,
        typer.Option("--column", help="Column of a table that has the text: its name, or its number from 1."),
    ] = None,
    header: Annotated[
        bool, typer.Option("--header/--no-header", help="Whether the first row of a table names its columns.")
    ] = True,
    sheet: Annotated[str | None, typer.Option("--sheet", help="Sheet of a workbook. Default: the first.")] = None,
    member: Annotated[
        str, typer.Option("--member", help="Member of a JSON object that has the text, such as text or doc.body.")
    ] = "text",
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of the files, such as gb18030. Default: detected, file by file.")
    ] = None,
    broker: Annotated[str | None, typer.Option(help="URL of Redis; overrides HANNER_BROKER_URL.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait for a result.", min=0.001)] = None,
    priority: Annotated[
        Priority | None, typer.Option(help="Default: interactive for texts given as arguments, bulk for files.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model; HANNER_ROUTES maps it to a queue.")] = None,
    types: Annotated[
        str | None,
        typer.Option(metavar="TYPE,…", help="Types of the entities to return, such as PER,LOC. Default: all."),
    ] = None,
    min_score: Annotated[float, typer.Option(help="Minimum score of the entities to return.", min=0, max=1)] = 0.0,
) -> None:
    """Extract entities from texts given as arguments, in files, or on stdin.

    Prints a table in a terminal and one JSON object per line in a pipe. A text that fails keeps its place in the
    output, with its error.

    Exit codes: 0 if all texts were processed; 1 if some failed; 2 for wrong usage, or if all failed texts were invalid;
    130 if interrupted.
    """
    from hanner.client import Client

    given, sources = choose_inputs(texts or [], files or [])
    if (resume or force) and output is None:
        raise UsageError("--resume and --force need an output file; add --output")
    overrides: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    is_terminal = sys.stdout.isatty()
    form = form or default_format(output, terminal=is_terminal)
    with Client(broker, **overrides) as ner, contextlib.ExitStack() as stack:
        options = InputOptions(
            encoding=encoding,
            format=input_format,
            member=member,
            column=column,
            sheet=sheet,
            header=header,
            whole=whole,
            max_chars=ner.settings.max_text_chars,
            notify=notify,
        )
        out = _open_output(form, output, resume=resume, force=force, brat_texts=1 if whole else BRAT_TEXTS, rows=rows)
        stack.callback(out.close)
        priority = priority or (Priority.BULK if sources else Priority.INTERACTIVE)
        items = read_items(given, sources, options)
        wanted = None if types is None else [name.strip() for name in types.split(",")]
        request = {"priority": priority.value, "model": model, "types": wanted, "min_score": min_score}
        run = ExtractRun(ner, items, out, form, output, request)
        total = None if given else total_bytes(sources)
        run.run(total, bar=bool(sources) and (output is not None or not is_terminal or form is FormatName.TABLE))
    if run.failed:
        raise typer.Exit(WRONG_USAGE if set(run.failed) == {ErrorCode.INVALID_TEXT} else FAILURE)


def _open_output(
    form: FormatName, path: Path | None, *, resume: bool, force: bool, brat_texts: int, rows: RowUnit
) -> Output:
    """Return the open output.

    Raises:
        UsageError: it exists, or the format cannot be written there.
        HannerError: it cannot be written.
    """
    if path is None:
        return _open_stdout(form, rows)
    _check_output(form, path, resume=resume)
    if not resume and not force and _has_content(path):
        is_whole = form in TABLES or path.suffix.lower() == ".spacy"
        advice = "" if is_whole else "continue it with --resume, or "
        raise UsageError(f"{path} exists; {advice}overwrite it with --force")
    if form is FormatName.BRAT:
        return BratFolder(path, resume=resume, texts=brat_texts)
    if form in TABLES:
        return open_table(form, path, rows)
    return DocBinFile(path) if path.suffix.lower() == ".spacy" else LineFile(path, line_format(form), resume=resume)


def _open_stdout(form: FormatName, rows: RowUnit) -> Output:
    if form is FormatName.BRAT:
        raise UsageError("brat writes two files for each document; name a folder for them with --output")
    if form in TABLES:
        return open_table(form, None, rows)
    return StdoutTable() if form is FormatName.TABLE else StdoutLines(line_format(form))


def _check_output(form: FormatName, path: Path, *, resume: bool) -> None:
    """Raise UsageError if the format cannot be written to the file, or cannot be resumed."""
    if form is FormatName.TABLE:
        raise UsageError("a table is for the terminal; choose another --format for a file, such as jsonl")
    meant = suffix_format(path)
    if form is not meant and meant is FormatName.SPACY:
        raise UsageError(f"{path} has the suffix of a spaCy DocBin; use another suffix, or add --format spacy")
    if form is not meant and meant in TABLES:
        raise UsageError(f"{path} has the suffix of {meant}, but --format is {form}; change one of them")
    if resume and (form in TABLES or meant is FormatName.SPACY):
        raise UsageError(
            f"a {path.suffix} file is written as a whole and cannot be resumed; write JSON lines to a .jsonl"
        )


def _has_content(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


class ExtractRun:
    """Streams texts through the client and writes the results in order.

    Args:
        ner: The client.
        items: The texts, including those that the output has already.
        output: The open output.
        form: The output's format.
        path: The output's file; None for stdout.
        request: Arguments of `Client.stream`: priority, model, types, min_score.

    Attributes:
        failed: The number of texts that failed in this run, by error code.
    """

    def __init__(
        self,
        ner: "Client",
        items: Iterator[InputItem],
        output: Output,
        form: FormatName,
        path: Path | None,
        request: Mapping[str, Any],
    ) -> None:
        self._ner = ner
        self._items = items
        self._output = output
        self._form = form
        self._path = path
        self._request = request
        self._model: str | None = request["model"]
        self._needs_model = needs_model(form)
        self._model_id = ""
        self._written = 0
        self._first_error = ""
        self.failed: Counter[str] = Counter()

    def run(self, total: int | None, *, bar: bool) -> None:
        """Process all texts.

        Args:
            total: Bytes of the input; None if unknown.
            bar: Whether a progress bar may be shown.

        Raises:
            UsageError: the output was made from another input.
            HannerError: the run cannot continue; the output that was written is kept.
            typer.Exit: the run was interrupted.
        """
        began = time.monotonic()
        try:
            start = self._skip_existing()
            with (
                terminal.progress_bar(total, start, enabled=bar) as update,
                WorkerNotice(self._ner, self._model) as notice,
                contextlib.closing(self._results()) as results,  # an interrupted run revokes its requests
            ):
                for item, document in results:
                    notice.cancel()
                    self._write(item, document)
                    update(item.offset, failed=document.error is not None)
            self._output.finish()
        except TimedOut as error:
            raise TimedOut(f"{self._explain_timeout(error)}{self._resume_hint()}") from None
        except HannerError as error:
            raise type(error)(f"{error}{self._resume_hint()}") from None
        except KeyboardInterrupt:
            print(f"hanner: interrupted{self._resume_hint()}", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        self._report(time.monotonic() - began)

    def _explain_timeout(self, error: TimedOut) -> str:
        """Return the reason why no result came, and what to do in a shell."""
        seconds = f"{self._ner.settings.timeout:g} s"
        if reason := find_missing_worker(self._ner, self._model):
            return f"no result came within {seconds}: {reason}"
        reason = str(error).partition(";")[0]
        return f"{reason}; wait longer with --timeout, or look at `hanner status` and the worker's log"

    def _skip_existing(self) -> int:
        """Skip the texts that the output has already; return the number of bytes they had."""
        existing = self._output.existing
        if not existing:
            return 0
        last = next(islice(self._items, existing - 1, None), None)
        if last is None or not self._output.ends_with(last.text):
            raise UsageError(f"{self._path} was not made from this input; name another --output, or add --force")
        return last.offset

    def _results(self) -> Generator[tuple[InputItem, "Document"], None, None]:
        from hanner.results import Document, Failure

        sent: deque[InputItem] = deque()

        def texts() -> Iterator[Any]:
            for item in self._items:
                sent.append(item)
                yield item.text if item.error is None else None  # the client rejects None and keeps its place

        with contextlib.closing(self._ner.stream(texts(), **self._request)) as documents:
            for document in documents:
                item = sent.popleft()
                if item.error is None:
                    yield item, document
                else:
                    yield item, Document(error=Failure(code=ErrorCode.INVALID_TEXT, message=item.error))

    def _write(self, item: InputItem, document: "Document") -> None:
        number = self._output.existing + self._written
        error = document.error
        if error is not None:
            self.failed[error.code] += 1
            self._first_error = self._first_error or f"text {number + 1:,}: {error.code}: {error.message}"
        elif self._needs_model and not self._model_id:
            self._model_id = query_model(self._ner, self._model)
        self._output.write(Record(number, item.text, document, item.fields, self._model_id))
        self._written += 1

    def _resume_hint(self) -> str:
        """Return the number of texts written and how to continue, for a run that ends early."""
        if self._path is None or not self._written:
            return ""
        count = self._output.existing + self._written
        if not self._output.can_resume:
            return f". {self._path} has the first {count:,} texts only"
        return f". {count:,} texts are in {self._path}; run the same command with --resume to continue"

    def _report(self, seconds: float) -> None:
        """Print failures to stderr, and to a terminal also the rate."""
        if self.failed and self._form is not FormatName.TABLE:
            failed = self.failed.total()
            message = f"hanner: {failed:,} of {self._written:,} texts failed; first error: {self._first_error}"
            print(message, file=sys.stderr)
        if self._path is not None and sys.stderr.isatty():
            rate = self._written / max(seconds, 1e-3)
            print(f"{self._written:,} texts in {seconds:,.1f} s ({rate:,.0f}/s): {self._path}", file=sys.stderr)
