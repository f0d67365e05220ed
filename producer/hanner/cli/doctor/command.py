"""`hanner doctor`: looks at everything a user could have got wrong, and says how to mend it."""

import json
import os
import sys
import time
from collections.abc import Iterator
from importlib import metadata, util
from typing import Annotated, Any

import typer
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from hanner.cli.doctor import environment as surroundings
from hanner.cli.doctor import server, workers
from hanner.cli.doctor.result import CheckResult, Level, fail, ok
from hanner.cli.plugins import local
from hanner.client import Client
from hanner.contract import EXAMPLE_TEXT
from hanner.errors import HannerError
from hanner.queue.keys import QueueKeys
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery
from hanner.utils.packaging import install_hint

PATIENCE = 1.5
"""Seconds in which workers answer the remote control."""


def doctor(
    broker: Annotated[str | None, typer.Option(help="Redis to use, in place of HANNER_BROKER_URL.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as a JSON list.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer to a first text.", min=0.1)] = 10.0,
) -> None:
    """Check this machine, the settings, Redis and the workers, and say how to mend what is wrong.

    Exit code 0: hanner works here. 1: something keeps it from working.
    """
    findings = []
    for finding in examine(broker, timeout):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print(json.dumps([finding.as_dict() for finding in findings], ensure_ascii=False, indent=2))
    failed = sum(finding.level is Level.FAIL for finding in findings)
    if sys.stdout.isatty() and not as_json:
        warned = sum(finding.level is Level.WARN for finding in findings)
        print(f"\n{failed} failed, {warned} to look at." if failed or warned else "\nAll is well.")
    if failed:
        raise typer.Exit(1)


def examine(broker: str | None, timeout: float) -> Iterator[CheckResult]:
    """Look at everything, from what is near to what is far."""
    yield surroundings.python()
    yield from surroundings.packages()
    yield from surroundings.variables(os.environ)
    settings, findings = surroundings.settings(os.environ, broker)
    yield from findings
    if settings is None:
        return
    yield from _local(settings)
    try:
        yield server.address(settings.broker_url)
        app = make_celery(settings)
    except HannerError as error:
        yield fail("Redis", str(error), "correct HANNER_BROKER_URL")
        return
    try:
        yield from _far(app, settings, timeout)
    except (RedisError, OperationalError, OSError) as error:
        yield server.unreachable(error, settings.broker_url)
    finally:
        app.close()


def _local(settings: Settings) -> Iterator[CheckResult]:
    """Check what a worker on this machine would need, if one could run here."""
    if util.find_spec("onnxruntime") is None:
        yield ok("engine", f"not installed: this machine is a client; for a worker, {install_hint('worker')}")
        return
    yield from local("checks")(settings)


def _far(app: Any, settings: Settings, timeout: float) -> Iterator[CheckResult]:
    store = app.backend.client
    info = store.info()
    yield from server.server(info)
    before = time.time()
    seconds, micros = store.time()
    yield server.clock(seconds + micros / 1e6, before, time.time())
    waiting = sum(int(store.llen(name)) for name in QueueKeys(settings.queue).lists)
    yield ok("queue", f"{settings.queue!r} holds {waiting:,} messages")
    before = time.time()
    replies = app.control.broadcast("hanner_about", reply=True, timeout=PATIENCE) or []
    about = {name: told if isinstance(told, dict) else {} for reply in replies for name, told in reply.items()}
    yield from workers.workers(about, workers.Here(settings, metadata.version("hanner"), before, time.time()))
    yield _answer(settings, timeout, waiting)


def _answer(settings: Settings, timeout: float, waiting: int) -> CheckResult:
    """Send one text all the way, which is the proof."""
    began = time.perf_counter()
    try:
        with Client(settings=settings) as ner:
            ner.extract(EXAMPLE_TEXT, timeout=timeout)
    except HannerError as error:
        mend = f"{waiting:,} messages are before it; start more workers" if waiting else "see the findings above"
        return fail("answer", f"a first text got none: {error}", mend)
    return ok("answer", f"a first text was answered in {(time.perf_counter() - began) * 1000:.0f} ms")


def _print(finding: CheckResult) -> None:
    """Print a finding: for programs four columns, for people with a mark and a colour."""
    if not sys.stdout.isatty():
        print(finding.level, finding.subject, finding.found, finding.mend, sep="\t", flush=True)
        return
    from hanner.cli import render  # noqa: PLC0415 - rich takes its time

    render.console().print(render.finding(finding))
