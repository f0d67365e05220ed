"""The command: reads environment, Redis and workers, runs the checks, sends a test text, prints the results."""

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

from hanner.cli import terminal
from hanner.cli.doctor import environment, server, workers
from hanner.cli.doctor.result import CheckResult, Level, fail, ok
from hanner.cli.errors import FAILURE
from hanner.cli.plugins import load_local
from hanner.client import Client
from hanner.contract import EXAMPLE_TEXT
from hanner.errors import HannerError
from hanner.queue.keys import QueueKeys
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery
from hanner.utils.packaging import install_hint

REPLY_TIMEOUT = 1.5
"""Seconds that workers have to answer a remote-control command."""
SIGNS = {Level.OK: ("✓", "green"), Level.WARN: ("!", "bold yellow"), Level.FAIL: ("✗", "bold red")}


def doctor(
    broker: Annotated[str | None, typer.Option(help="URL of Redis; overrides HANNER_BROKER_URL.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as a JSON list.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the result of a test text.", min=0.1)] = 10.0,
) -> None:
    """Check this machine, settings, Redis and workers; print how to fix problems.

    Exit codes: 0 if hanner works; 1 if a check failed.
    """
    results = []
    for result in run_checks(broker, timeout):
        results.append(result)
        if not as_json:
            _print(result)
    if as_json:
        print(json.dumps([result.as_dict() for result in results], ensure_ascii=False, indent=2))
    failures = sum(result.level is Level.FAIL for result in results)
    if sys.stdout.isatty() and not as_json:
        warnings = sum(result.level is Level.WARN for result in results)
        counts = f"{terminal.pluralize(failures, 'failure')}, {terminal.pluralize(warnings, 'warning')}."
        print(f"\n{counts}" if failures or warnings else "\nAll checks passed.")
    if failures:
        raise typer.Exit(FAILURE)


def run_checks(broker: str | None, timeout: float) -> Iterator[CheckResult]:
    """Yield the results of all checks, from this process to the workers."""
    yield environment.check_python()
    yield from environment.check_packages()
    yield from environment.check_variables(os.environ)
    settings, results = environment.read_settings(os.environ, broker)
    yield from results
    if settings is None:
        return
    yield from _check_local_worker(settings)
    try:
        yield server.check_address(settings.broker_url)
        app = make_celery(settings)
    except HannerError as error:
        yield fail("Redis", str(error), "correct HANNER_BROKER_URL")
        return
    try:
        yield from _check_remote(app, settings, timeout)
    except (RedisError, OperationalError, OSError) as error:
        yield server.unreachable(error, settings.broker_url)
    finally:
        app.close()


def _check_local_worker(settings: Settings) -> Iterator[CheckResult]:
    """Check what a worker needs on this machine, if its packages are installed."""
    if util.find_spec("onnxruntime") is None:
        yield ok("engine", f"not installed, which a client does not need; for a worker, {install_hint('worker')}")
        return
    yield from load_local("checks")(settings)


def _check_remote(app: Any, settings: Settings, timeout: float) -> Iterator[CheckResult]:
    """Check Redis and the workers."""
    redis = app.backend.client
    yield from server.check_server(redis.info())
    before = time.time()
    seconds, micros = redis.time()
    yield server.check_clock(seconds + micros / 1e6, before, time.time())
    waiting = sum(int(redis.llen(name)) for name in QueueKeys(settings.queue).lists)
    yield ok("queue", f"{settings.queue!r} has {waiting:,} messages")
    before = time.time()
    replies = app.control.broadcast("hanner_about", reply=True, timeout=REPLY_TIMEOUT) or []
    reports = {name: value if isinstance(value, dict) else {} for reply in replies for name, value in reply.items()}
    local = workers.LocalSide(settings, metadata.version("hanner"), before, time.time())
    yield from workers.check_workers(reports, local)
    yield _check_result(settings, timeout, waiting)


def _check_result(settings: Settings, timeout: float, waiting: int) -> CheckResult:
    """Send a test text through the queue."""
    began = time.perf_counter()
    try:
        with Client(settings=settings) as ner:
            ner.extract(EXAMPLE_TEXT, timeout=timeout)
    except HannerError as error:
        fix = f"{waiting:,} messages wait before it; start more workers" if waiting else "see the results above"
        return fail("result", f"no result for a test text: {error}", fix)
    return ok("result", f"a test text was answered in {(time.perf_counter() - began) * 1000:.0f} ms")


def _print(result: CheckResult) -> None:
    """Print a result: four columns in a pipe, with a sign and colour in a terminal."""
    if not sys.stdout.isatty():
        print(result.level, result.subject, result.message, result.fix, sep="\t", flush=True)
        return
    from rich.text import Text  # noqa: PLC0415 - see terminal.py

    sign, style = SIGNS[result.level]
    text = Text.assemble((f"{sign} {result.level:<4}", style), f"  {result.subject:<11} ", result.message)
    if result.fix:
        text.append(f"\n{'':8}{'':11} → {result.fix}", "bold")
    terminal.console().print(text)
