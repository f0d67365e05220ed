"""One run of `hanner extract`: skips what an earlier run has written, streams the rest, keeps count."""

import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import typer

from hanner.cli import progress
from hanner.cli.formats import FormatName, Record, line_format
from hanner.cli.io.inputs import Item
from hanner.cli.io.outputs import Output
from hanner.cli.probe import model_of
from hanner.cli.usage_error import Misused
from hanner.client import Client
from hanner.contract import Document, ErrorCode, Failure
from hanner.errors import HannerError
from hanner.queue.routing import PriorityName


class Way(NamedTuple):
    """Which way texts go: the priority, and the model by name."""

    priority: PriorityName
    model: str | None = None


class Extraction:
    """Sends texts and writes what comes back, in order.

    Args:
        ner: The client.
        found: The texts, from the first one on.
        output: Where records go.
        form: The output's format.
        path: The output's file; None for stdout.
        way: Which way the texts go.

    Attributes:
        problems: How many texts failed in this run, by code.
    """

    def __init__(
        self,
        ner: Client,
        found: Iterator[Item],
        output: Output,
        form: FormatName,
        path: Path | None,
        way: Way,
    ) -> None:
        self._way = way
        self._ner = ner
        self._found = found
        self._output = output
        self._form = form
        self._path = path
        self._needs_model = form not in {FormatName.TABLE, FormatName.BRAT} and line_format(form).needs_model
        self._model = ""
        self._written = 0
        self._first = ""
        self.problems: Counter[str] = Counter()

    def run(self, total: int | None, *, bar: bool) -> None:
        """Do all of it.

        Args:
            total: Bytes of the input, None when unknown.
            bar: Whether a progress bar would disturb nothing.

        Raises:
            Misused: the output belongs to another input.
            HannerError: it could not go on; what was written before stays.
            typer.Exit: it was interrupted; code 130.
        """
        began = time.monotonic()
        try:
            start = self._skip()
            with progress.shown(total, start, wanted=bar) as note:
                for item, document in self._answers():
                    self._write(item, document)
                    note(item.offset, failed=document.error is not None)
            self._output.finish()
        except HannerError as error:
            raise type(error)(f"{error}{self._left()}") from None
        except KeyboardInterrupt:
            print(f"hanner: interrupted{self._left()}", file=sys.stderr)
            raise typer.Exit(130) from None
        self._report(time.monotonic() - began)

    def _skip(self) -> int:
        """Pass over the texts that the output has already; return how many bytes they took."""
        done = self._output.done
        if not done:
            return 0
        last = next(islice(self._found, done - 1, None), None)
        if last is None or not self._output.check(last.text):
            raise Misused(f"{self._path} was not made from this input; name another --output, or --force")
        return last.offset

    def _answers(self) -> Iterator[tuple[Item, Document]]:
        sent: deque[Item] = deque()

        def texts() -> Iterator[Any]:
            for item in self._found:
                sent.append(item)
                yield item.text if item.fault is None else None  # None is refused, in its place

        for document in self._ner.stream(texts(), priority=self._way.priority, model=self._way.model):
            item = sent.popleft()
            if item.fault is None:
                yield item, document
            else:
                yield item, Document(error=Failure(code=ErrorCode.INVALID_TEXT, message=item.fault))

    def _write(self, item: Item, document: Document) -> None:
        number = self._output.done + self._written
        if document.error is not None:
            self.problems[document.error.code] += 1
            self._first = self._first or f"text {number + 1:,}: {document.error.code}: {document.error.message}"
        elif self._needs_model and not self._model:
            self._model = model_of(self._ner, self._way.model)
        self._output.write(Record(number, item.text, document, item.fields, self._model))
        self._written += 1

    def _left(self) -> str:
        """Say what is there when it ends early."""
        if self._path is None or not self._written:
            return ""
        return (
            f". {self._output.done + self._written:,} texts are in {self._path}; the same command with --resume goes on"
        )

    def _report(self, seconds: float) -> None:
        """Say on stderr what failed, and to people how it went."""
        if self.problems and self._form is not FormatName.TABLE:
            failed = self.problems.total()
            print(f"hanner: {failed:,} of {self._written:,} texts failed; the first is {self._first}", file=sys.stderr)
        if self._path is not None and sys.stderr.isatty():
            rate = self._written / max(seconds, 1e-3)
            print(f"{self._written:,} texts in {seconds:,.1f} s ({rate:,.0f}/s): {self._path}", file=sys.stderr)
