"""`hanner status`: what waits, who works and how fast. All of it is read from Redis, in one round trip."""

import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hanner.client import Client
from hanner.errors import BrokerUnreachable, HannerError
from hanner.queue.stats import Backlog, WorkerState, format_duration
from hanner.settings import Settings
from hanner.transport.celery_app import redact_url

if TYPE_CHECKING:
    from rich.console import Group


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks with --watch.", min=0.1)] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per look.")] = False,
    broker: Annotated[str | None, typer.Option(help="Redis to use, in place of HANNER_BROKER_URL.")] = None,
) -> None:
    """Show the queue: depth and age, rate, workers, batch sizes, models, dead letters."""
    with Client(broker) as ner, contextlib.suppress(KeyboardInterrupt):
        if not watch:
            print(_text(ner, ner.backlog(), as_json=as_json)) if as_json or not _rich() else _show(ner, ner.backlog())
        elif as_json or not _rich():
            while True:
                print(_text(ner, _look(ner), as_json=as_json), flush=True)
                time.sleep(interval)
        else:
            _watch(ner, interval)


def _rich() -> bool:
    return sys.stdout.isatty()


def _look(ner: Client) -> Backlog | HannerError:
    """Look once; a Redis that is away for a while does not end the watching."""
    try:
        return ner.backlog()
    except BrokerUnreachable as error:
        return error


def _text(ner: Client, backlog: Backlog | HannerError, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(as_dict(ner.settings, backlog), ensure_ascii=False)
    if isinstance(backlog, HannerError):
        return f"error\t{backlog}"
    lines = [f"{name}\t{value}" for name, value in rows(ner.settings, backlog)]
    return "\n".join([*lines, *("\t".join(["worker", *worker_row(worker)]) for worker in backlog.workers)])


def as_dict(settings: Settings, backlog: Backlog | HannerError) -> dict[str, Any]:
    """Return what --json prints."""
    where = {"redis": redact_url(settings.broker_url), "queue": settings.queue}
    if isinstance(backlog, HannerError):
        return where | {"error": {"code": backlog.code, "message": str(backlog)}}
    return where | backlog.model_dump() | {"seconds": backlog.seconds, "limit": settings.max_queue or None}


def rows(settings: Settings, backlog: Backlog) -> list[tuple[str, str]]:
    """Return what is told of the queue as a whole: names and values."""
    waiting = _waiting(backlog, f" of {settings.max_queue:,}" if settings.max_queue else "")
    if backlog.texts != backlog.depth:
        waiting += f", about {counted(backlog.texts, 'text')}"
    told = [
        ("queue", f"{settings.queue} at {redact_url(settings.broker_url)}"),
        ("waiting", waiting),
        ("oldest", "-" if backlog.oldest_seconds is None else format_duration(backlog.oldest_seconds)),
        ("done in", "-" if not backlog.depth else _when(backlog)),
        ("rate", f"{backlog.rate:,.1f} texts/s"),
        ("held", f"{counted(backlog.held, 'request')} in flight"),
        ("dead", counted(backlog.dead, "dead letter") + (", see `hanner dead list`" if backlog.dead else "")),
        ("workers", str(len(backlog.workers)) if backlog.workers else "none; start one with `hanner up`"),
    ]
    models = sorted({worker.model for worker in backlog.workers if worker.model})
    return [*told, ("model", ", ".join(models) or "-")]


def _waiting(backlog: Backlog, limit: str) -> str:
    """Say how many requests wait; each priority has the limit for itself."""
    if backlog.bulk:
        return f"{backlog.depth - backlog.bulk:,}{limit} interactive and {backlog.bulk:,}{limit} bulk requests"
    return f"{backlog.depth:,}{limit} requests" if limit else counted(backlog.depth, "request")


def counted(count: int, thing: str) -> str:
    """Say a number of things."""
    return f"{count:,} {thing}{'s' if count != 1 else ''}"


def _when(backlog: Backlog) -> str:
    return "unknown" if backlog.seconds is None else f"about {format_duration(backlog.seconds)} at this rate"


HEADINGS = ("worker", "processes", "model", "texts/s", "texts/batch", "latency ms", "held", "texts", "up")


def worker_row(worker: WorkerState) -> list[str]:
    """Return what is told of one worker, in the order of HEADINGS."""
    return [
        f"{worker.host}:{worker.pid}",
        str(worker.processes),
        worker.model or "-",
        f"{worker.rate:,.1f}",
        f"{worker.batch_texts:,.1f}",
        f"{worker.latency_ms:,.1f}",
        f"{worker.held:,}",
        f"{worker.texts:,}",
        format_duration(max(0.0, time.time() - worker.started)) if worker.started else "-",
    ]


def _rendered(ner: Client, backlog: Backlog | HannerError) -> "Group":
    from rich.console import Group  # noqa: PLC0415 - rich takes its time, and pipes do without
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    if isinstance(backlog, HannerError):
        return Group(Text(str(backlog), "bold red"))
    summary = Table(box=None, pad_edge=False, show_header=False)
    for name, value in rows(ner.settings, backlog):
        alarming = (name == "dead" and backlog.dead) or (name == "workers" and not backlog.workers)
        summary.add_row(Text(name, "bold"), Text(value, "bold red" if alarming else ""))
    if not backlog.workers:
        return Group(summary)
    workers = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(HEADINGS):
        workers.add_column(heading, justify="left" if number in {0, 2} else "right")
    for worker in backlog.workers:
        workers.add_row(*worker_row(worker))
    return Group(summary, Text(), workers)


def _show(ner: Client, backlog: Backlog) -> None:
    from hanner.cli.render import console  # noqa: PLC0415

    console().print(_rendered(ner, backlog))


def _watch(ner: Client, interval: float) -> None:
    from rich.live import Live  # noqa: PLC0415

    from hanner.cli.render import console  # noqa: PLC0415

    with Live(_rendered(ner, _look(ner)), console=console(), auto_refresh=False, screen=True) as live:
        while True:
            live.update(_rendered(ner, _look(ner)), refresh=True)
            time.sleep(interval)
