"""`hanner status`: shows the queue and its workers, from one round trip to Redis."""

import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hanner.cli import terminal
from hanner.errors import BrokerUnreachable, HannerError
from hanner.utils.duration import format_duration

if TYPE_CHECKING:
    from rich.console import Console, Group

    from hanner.client import Client
    from hanner.queue.stats import Backlog, WorkerState
    from hanner.settings import Settings

WORKER_COLUMNS = ("worker", "processes", "model", "texts/s", "texts/batch", "latency ms", "unacked", "texts", "up")
LEFT_ALIGNED = ("worker", "model")
NO_LIMIT = 10_000
"""Columns of a console that is wide enough for everything."""


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between refreshes with --watch.", min=0.1)] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per refresh.")] = False,
    broker: Annotated[str | None, typer.Option(help="URL of Redis; overrides HANNER_BROKER_URL.")] = None,
) -> None:
    """Show the queue and its workers."""
    from hanner.client import Client

    plain = as_json or not sys.stdout.isatty()
    with Client(broker) as ner, contextlib.suppress(KeyboardInterrupt):
        if watch and plain:
            while True:
                print(_format_plain(ner, _read_backlog(ner), as_json=as_json), flush=True)
                time.sleep(interval)
        elif watch:
            _watch(ner, interval)
        elif plain:
            print(_format_plain(ner, ner.backlog(), as_json=as_json))
        else:
            console = terminal.console()
            console.print(_format_rich(ner, ner.backlog(), console), soft_wrap=False)


def _read_backlog(ner: "Client") -> "Backlog | HannerError":
    """Return the backlog, or the error if Redis is unreachable: --watch continues."""
    try:
        return ner.backlog()
    except BrokerUnreachable as error:
        return error


def _format_plain(ner: "Client", backlog: "Backlog | HannerError", *, as_json: bool) -> str:
    if as_json:
        return json.dumps(as_dict(ner.settings, backlog), ensure_ascii=False)
    if isinstance(backlog, HannerError):
        return f"error\t{backlog}"
    lines = [f"{name}\t{value}" for name, value in queue_rows(ner.settings, backlog)]
    return "\n".join([*lines, *map(_format_plain_worker, backlog.workers)])


def _format_plain_worker(worker: "WorkerState") -> str:
    """Return a line for a worker: its name, and NAME=VALUE for each other column."""
    name, *values = worker_row(worker)
    labelled = (f"{column.replace(' ', '_')}={value}" for column, value in zip(WORKER_COLUMNS[1:], values, strict=True))
    return "\t".join(["worker", name, *labelled])


def as_dict(settings: "Settings", backlog: "Backlog | HannerError") -> dict[str, Any]:
    """Return the object that --json prints."""
    from hanner.address import redact_url

    source = {"redis": redact_url(settings.broker_url), "queue": settings.queue}
    if isinstance(backlog, HannerError):
        return source | {"error": {"code": backlog.code, "message": str(backlog)}}
    return source | backlog.model_dump() | {"seconds": backlog.seconds, "limit": settings.max_queue or None}


def queue_rows(settings: "Settings", backlog: "Backlog") -> list[tuple[str, str]]:
    """Return names and values that describe the queue."""
    from hanner.address import redact_url

    waiting = _format_waiting(backlog, f" of {settings.max_queue:,}" if settings.max_queue else "")
    if backlog.texts != backlog.depth:
        waiting += f", about {terminal.pluralize(backlog.texts, 'text')}"
    rows = [
        ("queue", f"{settings.queue} at {redact_url(settings.broker_url)}"),
        ("waiting", waiting),
        ("oldest", "-" if backlog.oldest_seconds is None else format_duration(backlog.oldest_seconds)),
        ("done in", "-" if not backlog.depth else _format_estimate(backlog)),
        ("rate", f"{backlog.rate:,.1f} texts/s"),
        ("unacked", f"{terminal.pluralize(backlog.unacked, 'request')} in flight"),
        ("scheduled", _format_scheduled(backlog)),
        (
            "dead",
            terminal.pluralize(backlog.dead, "dead letter") + (", see `hanner dead list`" if backlog.dead else ""),
        ),
        ("workers", str(len(backlog.workers)) if backlog.workers else "none; start one with `hanner up`"),
    ]
    models = sorted({worker.model for worker in backlog.workers if worker.model})
    return [*rows, ("model", ", ".join(models) or "-")]


def _format_waiting(backlog: "Backlog", limit: str) -> str:
    """Return the number of waiting requests; the limit applies to each priority separately."""
    if backlog.bulk:
        return f"{backlog.depth - backlog.bulk:,}{limit} interactive and {backlog.bulk:,}{limit} bulk requests"
    return f"{backlog.depth:,}{limit} requests" if limit else terminal.pluralize(backlog.depth, "request")


def _format_scheduled(backlog: "Backlog") -> str:
    """Return the number of scheduled requests, and when the next one is due."""
    requests = terminal.pluralize(backlog.scheduled, "request")
    if backlog.scheduled_seconds is None:
        return requests
    return f"{requests}, the next is due {_format_due(backlog.scheduled_seconds)}"


def _format_due(seconds: float) -> str:
    return f"in {format_duration(seconds)}" if seconds > 0 else "now"


def _format_estimate(backlog: "Backlog") -> str:
    return "unknown" if backlog.seconds is None else f"about {format_duration(backlog.seconds)} at this rate"


def worker_row(worker: "WorkerState") -> list[str]:
    """Return the values of one worker, in the order of WORKER_COLUMNS."""
    return [
        f"{worker.host}:{worker.pid}",
        str(worker.processes),
        worker.model or "-",
        f"{worker.rate:,.1f}",
        f"{worker.batch_texts:,.1f}",
        f"{worker.latency_ms:,.1f}",
        f"{worker.unacked:,}",
        f"{worker.texts:,}",
        format_duration(max(0.0, time.time() - worker.started)) if worker.started else "-",
    ]


def _format_rich(ner: "Client", backlog: "Backlog | HannerError", console: "Console") -> "Group":
    """Return the tables; if the console is too narrow for a row per worker, a block per worker."""
    from rich.console import Group
    from rich.text import Text

    if isinstance(backlog, HannerError):
        return Group(Text(str(backlog), "bold red"))
    summary = terminal.table()
    for name, value in queue_rows(ner.settings, backlog):
        problem = (name == "dead" and backlog.dead) or (name == "workers" and not backlog.workers)
        summary.add_row(Text(name, "bold"), Text(value, "bold red" if problem else ""))
    if not backlog.workers:
        return Group(summary)
    workers = terminal.table(*WORKER_COLUMNS, right=set(WORKER_COLUMNS) - set(LEFT_ALIGNED))
    for worker in backlog.workers:
        workers.add_row(*worker_row(worker))
    if console.measure(workers, options=console.options.update(width=NO_LIMIT)).maximum > console.width:
        workers = terminal.table("", "")
        for worker in backlog.workers:
            for name, value in zip(WORKER_COLUMNS, worker_row(worker), strict=True):
                workers.add_row(Text(name, "bold"), value)
    return Group(summary, Text(), workers)


def _watch(ner: "Client", interval: float) -> None:
    from rich.live import Live

    console = terminal.console()
    first = _format_rich(ner, _read_backlog(ner), console)
    with Live(first, console=console, auto_refresh=False, screen=True) as live:
        while True:
            live.update(_format_rich(ner, _read_backlog(ner), console), refresh=True)
            time.sleep(interval)
