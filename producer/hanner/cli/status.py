"""`hanner status`: shows the queue and its workers, from one round trip to Redis."""

import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from hanner.cli import terminal
from hanner.errors import BrokerUnreachable, HannerError
from hanner.utils.duration import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console, Group

    from hanner.client import Client
    from hanner.queue.stats import Backlog, WorkerState
    from hanner.settings import Settings

WORKER_COLUMNS = ("worker", "processes", "model", "texts/s", "texts/batch", "latency ms", "unacked", "texts", "up")
ADDRESS_COLUMNS = ("redis", "state", "waiting", "oldest", "unacked", "workers", "texts/s")
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
                print(_format_plain(ner, _read(ner), as_json=as_json), flush=True)
                time.sleep(interval)
        elif watch:
            _watch(ner, interval)
        else:
            found = _read(ner)
            if isinstance(found.backlog, HannerError):
                raise found.backlog
            if plain:
                print(_format_plain(ner, found, as_json=as_json))
            else:
                console = terminal.console()
                console.print(_format_rich(ner, found, console), soft_wrap=False)


class Found(NamedTuple):
    """What was read.

    Attributes:
        backlog: The state of the queue at all addresses that answer; the error if none does.
        by_address: The state by address; empty if there is only one.
    """

    backlog: "Backlog | HannerError"
    by_address: "Mapping[str, Backlog | BrokerUnreachable]"


def _read(ner: "Client") -> Found:
    """Return the state of the queue, or the error if Redis is unreachable: --watch continues."""
    from hanner.queue.stats import Backlog, merge_backlogs
    from hanner.transport.brokers import combine

    by_address = ner.backlogs()
    backlogs = [each for each in by_address.values() if isinstance(each, Backlog)]
    errors = [each for each in by_address.values() if isinstance(each, BrokerUnreachable)]
    several = len(by_address) > 1
    return Found(merge_backlogs(backlogs) if backlogs else combine(errors), by_address if several else {})


def _format_plain(ner: "Client", found: Found, *, as_json: bool) -> str:
    backlog = found.backlog
    if as_json:
        return json.dumps(as_dict(ner.settings, found), ensure_ascii=False)
    if isinstance(backlog, HannerError):
        return f"error\t{backlog}"
    lines = [f"{name}\t{value}" for name, value in queue_rows(ner.settings, backlog)]
    addresses = ["\t".join(["redis", *address_row(*item)]) for item in found.by_address.items()]
    return "\n".join([*lines, *addresses, *map(_format_plain_worker, backlog.workers)])


def address_row(address: str, backlog: "Backlog | BrokerUnreachable") -> list[str]:
    """Return the state of one of several addresses, in the order of ADDRESS_COLUMNS."""
    if isinstance(backlog, HannerError):
        return [address, "down", "-", "-", "-", "-", "-"]
    waiting, oldest = f"{backlog.depth:,}", backlog.oldest_seconds
    return [
        address,
        "up",
        waiting,
        "-" if oldest is None else format_duration(oldest),
        f"{backlog.unacked:,}",
        str(len(backlog.workers)),
        f"{backlog.rate:,.1f}",
    ]


def _format_plain_worker(worker: "WorkerState") -> str:
    """Return a line for a worker: its name, and NAME=VALUE for each other column."""
    name, *values = worker_row(worker)
    labelled = (f"{column.replace(' ', '_')}={value}" for column, value in zip(WORKER_COLUMNS[1:], values, strict=True))
    return "\t".join(["worker", name, *labelled])


def as_dict(settings: "Settings", found: Found) -> dict[str, Any]:
    """Return the object that --json prints."""
    from hanner.address import redact_url

    source: dict[str, Any] = {"redis": redact_url(settings.broker_url), "queue": settings.queue}
    limit = {"limit": settings.max_queue or None}
    if found.by_address:
        source["addresses"] = {name: _values(each) for name, each in found.by_address.items()}
    values = _values(found.backlog)
    return source | (values if isinstance(found.backlog, HannerError) else values | limit)


def _values(backlog: "Backlog | HannerError") -> dict[str, Any]:
    """Return the values of a backlog, or an object with the error."""
    if isinstance(backlog, HannerError):
        return {"error": {"code": backlog.code, "message": str(backlog)}}
    return backlog.model_dump() | {"seconds": backlog.seconds}


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


def _format_rich(ner: "Client", found: Found, console: "Console") -> "Group":
    """Return the tables; if the console is too narrow for a row per worker, a block per worker."""
    from rich.console import Group
    from rich.text import Text

    backlog = found.backlog
    if isinstance(backlog, HannerError):
        return Group(Text(str(backlog), "bold red"))
    summary = terminal.table()
    for name, value in queue_rows(ner.settings, backlog):
        problem = (name == "dead" and backlog.dead) or (name == "workers" and not backlog.workers)
        summary.add_row(Text(name, "bold"), Text(value, "bold red" if problem else ""))
    parts: list[Any] = [summary]
    if found.by_address:
        addresses = terminal.table(*ADDRESS_COLUMNS, right=ADDRESS_COLUMNS[2:])
        for item in found.by_address.items():
            row = address_row(*item)
            addresses.add_row(*row, style="bold red" if row[1] == "down" else None)
        parts += [Text(), addresses]
    if not backlog.workers:
        return Group(*parts)
    workers = terminal.table(*WORKER_COLUMNS, right=set(WORKER_COLUMNS) - set(LEFT_ALIGNED))
    for worker in backlog.workers:
        workers.add_row(*worker_row(worker))
    if console.measure(workers, options=console.options.update(width=NO_LIMIT)).maximum > console.width:
        workers = terminal.table("", "")
        for worker in backlog.workers:
            for name, value in zip(WORKER_COLUMNS, worker_row(worker), strict=True):
                workers.add_row(Text(name, "bold"), value)
    return Group(*parts, Text(), workers)


def _watch(ner: "Client", interval: float) -> None:
    from rich.live import Live

    console = terminal.console()
    first = _format_rich(ner, _read(ner), console)
    with Live(first, console=console, auto_refresh=False, screen=True) as live:
        while True:
            live.update(_format_rich(ner, _read(ner), console), refresh=True)
            time.sleep(interval)
