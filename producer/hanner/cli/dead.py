"""`hanner dead …`: requests that were set aside, looked at, sent again or thrown away."""

import base64
import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from hanner._requests import RequestSender
from hanner.cli.status import counted
from hanner.contract import redact_args
from hanner.errors import HannerError, InvalidSettings
from hanner.queue.dead_letters import DeadLetter, DeadLetters
from hanner.queue.stats import format_duration

app = typer.Typer(
    no_args_is_help=True,
    help="Requests that were set aside because they failed for good: list, show, retry, purge.",
)

Broker = Annotated[str | None, typer.Option(help="Redis to use, in place of HANNER_BROKER_URL.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID…", help="Task ids.")]
All = Annotated[bool, typer.Option("--all", help="Take all of them.")]
Code = Annotated[str | None, typer.Option(help="Take those with this code, such as worker_lost.")]
Older = Annotated[
    str | None, typer.Option(help="Take those set aside longer ago than this, such as 7d, 12h, 30min or 45s.")
]
UNITS = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}


@app.command("list")
def list_(
    code: Code = None,
    older_than: Older = None,
    limit: Annotated[int, typer.Option(help="Show at most so many, oldest first; 0 shows all.", min=0)] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, as in a pipe.")] = False,
    broker: Broker = None,
) -> None:
    """List them, oldest first: a table in a terminal, one JSON object per line in a pipe."""
    with _opened(broker) as dead:
        count = dead.count()
        shown = []
        for letter in _matching(dead, code, older_than):
            shown.append(letter)
            if len(shown) == limit:
                break
    if as_json or not sys.stdout.isatty():
        for letter in shown:
            print(json.dumps(_described(letter), ensure_ascii=False))
        return
    if shown:
        _print_table(shown)
    print(f"{counted(count, 'dead letter')}{f', {len(shown)} shown' if len(shown) < count else ''}.")


@app.command()
def show(
    task_id: Annotated[str, typer.Argument(metavar="ID", help="Task id.")],
    text: Annotated[bool, typer.Option("--text", help="Show the text as well, which may be private.")] = False,
    broker: Broker = None,
) -> None:
    """Show one of them as JSON, without its text unless asked for."""
    with _opened(broker) as dead:
        letter = dead.get(task_id)
    if letter is None:
        raise HannerError(f"no dead letter has the id {task_id}; see `hanner dead list`")
    argument = _argument(letter.message)
    described = _described(letter) | {"argument": argument if text else redact_args([argument])}
    print(json.dumps(described, ensure_ascii=False, indent=2))


@app.command()
def retry(
    ids: Ids = None,
    all_: All = False,
    code: Code = None,
    older_than: Older = None,
    broker: Broker = None,
) -> None:
    """Put them back into the queue as they were; their ids stay, so callers who ask again get the new answer."""
    with _opened(broker) as dead:
        chosen = _chosen(dead, ids, code, older_than, everything=all_)
        _report(dead.retry(chosen), ids, "back in the queue")


@app.command()
def purge(
    ids: Ids = None,
    all_: All = False,
    code: Code = None,
    older_than: Older = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    broker: Broker = None,
) -> None:
    """Throw them away for good, texts and all."""
    with _opened(broker) as dead:
        chosen = _chosen(dead, ids, code, older_than, everything=all_)
        if chosen and not ids and not yes:
            if not sys.stdin.isatty():
                raise InvalidSettings(f"{len(chosen)} dead letters would be thrown away; say --yes if that is meant")
            typer.confirm(f"Throw {len(chosen)} dead letters away for good?", abort=True, err=True)
        _report(dead.purge(chosen), ids, "thrown away")


@contextlib.contextmanager
def _opened(broker: str | None) -> Iterator[DeadLetters]:
    connection = RequestSender(broker, None, {}).connection
    try:
        with connection.translate_errors():
            yield DeadLetters(connection.redis, connection.settings.queue)
    finally:
        connection.close()


def _matching(dead: DeadLetters, code: str | None, older_than: str | None) -> Iterator[DeadLetter]:
    before = None if older_than is None else time.time() - seconds(older_than)
    return (letter for letter in dead.letters(dead.ids(before=before)) if code is None or letter.code == code)


def _chosen(
    dead: DeadLetters, ids: list[str] | None, code: str | None, older_than: str | None, *, everything: bool
) -> list[str]:
    """Return the ids that are meant.

    Raises:
        InvalidSettings: it was not said which.
    """
    filtered = code is not None or older_than is not None
    if bool(ids) + (everything or filtered) != 1:
        raise InvalidSettings("name ids, or choose with --all, --code or --older-than; see `hanner dead list`")
    if ids:
        return ids
    # Without a code, letters need not be read: one that cannot be read can be thrown away.
    before = None if older_than is None else time.time() - seconds(older_than)
    return dead.ids(before=before) if code is None else [letter.id for letter in _matching(dead, code, older_than)]


def _report(count: int, ids: list[str] | None, what: str) -> None:
    print(f"{counted(count, 'request')} {'is' if count == 1 else 'are'} {what}.")
    missing = len(set(ids or ())) - count
    if missing > 0:
        raise HannerError(f"{missing} of the ids have no dead letter; see `hanner dead list`")


def seconds(age: str) -> float:
    """Read an age: a number and one of d, h, min, s.

    Raises:
        InvalidSettings: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(d|h|min|s)", age.strip())
    if match is None:
        raise InvalidSettings(f"{age!r} is no age; write for example 7d, 12h, 30min or 45s")
    return float(match[1]) * UNITS[match[2]]


def _described(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "task": letter.task,
        "code": letter.code,
        "reason": letter.reason,
        "deaths": letter.deaths,
        "at": datetime.fromtimestamp(letter.at, UTC).isoformat(timespec="seconds"),
        "age_seconds": round(max(0.0, time.time() - letter.at), 1),
    }


def _argument(message: str) -> Any:
    """Return the text or the texts of a message of Celery's; None when it is none."""
    try:
        (argument, *_), *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return argument


def _print_table(letters: list[DeadLetter]) -> None:
    from rich.table import Table  # noqa: PLC0415 - rich takes its time, and pipes do without

    from hanner.cli.render import console  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "age", "code", "deaths", "reason"):
        table.add_column(heading, justify="right" if heading in {"age", "deaths"} else "left", no_wrap=heading == "id")
    for letter in letters:
        age = format_duration(max(0.0, time.time() - letter.at))
        table.add_row(letter.id, age, letter.code, str(letter.deaths), letter.reason)
    console().print(table)
