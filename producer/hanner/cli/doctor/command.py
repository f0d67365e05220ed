"""The command: runs the checks and prints their results."""

import json
import sys
from typing import Annotated

import typer

from hanner.cli import terminal
from hanner.cli.doctor.result import CheckResult, Level
from hanner.cli.errors import FAILURE

SIGNS = {Level.OK: ("✓", "green"), Level.WARN: ("!", "bold yellow"), Level.FAIL: ("✗", "bold red")}


def doctor(
    broker: Annotated[str | None, typer.Option(help="URL of Redis; overrides HANNER_BROKER_URL.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as a JSON list.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the result of a test text.", min=0.1)] = 10.0,
) -> None:
    """Check this machine, settings, Redis and workers; print how to fix problems.

    Exit codes: 0 if hanner works; 1 if a check failed.
    """
    from hanner.cli.doctor.run import run_checks

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


def _print(result: CheckResult) -> None:
    """Print a result: four columns in a pipe, with a sign and colour in a terminal."""
    if not sys.stdout.isatty():
        print(result.level, result.subject, result.message, result.fix, sep="\t", flush=True)
        return
    from rich.text import Text

    sign, style = SIGNS[result.level]
    text = Text.assemble((f"{sign} {result.level:<4}", style), f"  {result.subject:<11} ", result.message)
    if result.fix:
        text.append(f"\n{'':8}{'':11} → {result.fix}", "bold")
    terminal.console().print(text)
