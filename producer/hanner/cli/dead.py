"""`hanner dead …`: lists, shows, retries and purges dead letters, which are requests that failed permanently."""

import contextlib
import json
import re
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hanner.cli import terminal
from hanner.cli.errors import UsageError
from hanner.cli.group import CommandGroup
from hanner.contract import redact_args
from hanner.errors import HannerError
from hanner.utils.duration import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hanner.queue.dead_letters import AllDeadLetters, DeadLetter, DeadLetters
    from hanner.transport.brokers import Brokers
    from hanner.transport.connection import BrokerConnection

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, show, retry and purge dead letters: requests that failed permanently.",
)

Broker = Annotated[str | None, typer.Option(help="URL of Redis; overrides HANNER_BROKER_URL.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID…", help="Task ids.")]
All = Annotated[bool, typer.Option("--all", help="Select all dead letters.")]
Code = Annotated[str | None, typer.Option(help="Select those with this error code, such as worker_lost.")]
OlderThan = Annotated[str | None, typer.Option(help="Select those older than this, such as 7d, 12h, 30min or 45s.")]
UNITS = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}


@app.command("list")
def list_(
    code: Code = None,
    older_than: OlderThan = None,
    limit: Annotated[int, typer.Option(help="Maximum number to list; 0 for all.", min=0)] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    broker: Broker = None,
) -> None:
    """List dead letters, oldest first.

    Prints a table in a terminal and one JSON object per line in a pipe.
    """
    with _open_dead_letters(broker) as dead:
        count = dead.count()
        listed = []
        for letter in _select_letters(dead, code, older_than):
            listed.append(letter)
            if len(listed) == limit:
                break
    if as_json or not sys.stdout.isatty():
        for letter in listed:
            print(json.dumps(_as_dict(letter), ensure_ascii=False))
        return
    if listed:
        _print_table(listed)
    shown = f", {len(listed)} shown" if len(listed) < count else ""
    print(f"{terminal.pluralize(count, 'dead letter')}{shown}.")


@app.command()
def show(
    task_id: Annotated[str, typer.Argument(metavar="ID", help="Task id.")],
    text: Annotated[bool, typer.Option("--text", help="Include the text, which may be private.")] = False,
    broker: Broker = None,
) -> None:
    """Print a dead letter as JSON; its text only with --text."""
    from hanner.queue.dead_letters import first_argument

    with _open_dead_letters(broker) as dead:
        letter = dead.get(task_id)
    if letter is None:
        raise HannerError(f"there is no dead letter with id {task_id}; see `hanner dead list`")
    argument = first_argument(letter.message)
    fields = _as_dict(letter) | {"argument": argument if text else redact_args([argument])}
    print(json.dumps(fields, ensure_ascii=False, indent=2))


@app.command()
def retry(
    ids: Ids = None,
    all_: All = False,
    code: Code = None,
    older_than: OlderThan = None,
    broker: Broker = None,
) -> None:
    """Put dead letters back into the queue.

    They keep their ids: callers that ask for a result by id get the new one.
    """
    with _open_dead_letters(broker) as dead:
        selected = _select_ids(dead, ids, code, older_than, select_all=all_)
        _report(dead.retry(selected), ids, "put back into the queue")


@app.command()
def purge(
    ids: Ids = None,
    all_: All = False,
    code: Code = None,
    older_than: OlderThan = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    broker: Broker = None,
) -> None:
    """Delete dead letters permanently, including their texts."""
    with _open_dead_letters(broker) as dead:
        selected = _select_ids(dead, ids, code, older_than, select_all=all_)
        if selected and not ids and not yes:
            if not sys.stdin.isatty():
                raise UsageError(f"this would delete {len(selected)} dead letters; add --yes to confirm")
            typer.confirm(f"Delete {len(selected)} dead letters permanently?", abort=True, err=True)
        _report(dead.purge(selected), ids, "deleted")


@contextlib.contextmanager
def _open_dead_letters(broker: str | None) -> "Iterator[DeadLetters | AllDeadLetters]":
    from hanner._requests import RequestSender
    from hanner.queue.dead_letters import AllDeadLetters, DeadLetters

    brokers = RequestSender(broker, None, {}).brokers
    queue = brokers.settings.queue
    try:
        connections = _find_reachable(brokers) if brokers.are_several else brokers.connections
        with contextlib.ExitStack() as stack:
            for connection in connections:
                stack.enter_context(connection.translate_errors())
            parts = [DeadLetters(connection.redis, queue) for connection in connections]
            yield AllDeadLetters(parts) if brokers.are_several else parts[0]
    finally:
        brokers.close()


def _find_reachable(brokers: "Brokers") -> "list[BrokerConnection]":
    """Return the connections of the addresses that answer; report the others.

    Raises:
        BrokerUnreachable: none answers.
    """
    from hanner.errors import BrokerUnreachable
    from hanner.transport.brokers import combine

    reachable, errors = [], []
    for connection in brokers.connections:
        try:
            with connection.translate_errors():
                connection.redis.ping()
            reachable.append(connection)
        except BrokerUnreachable as error:
            errors.append(error)
    if not reachable:
        raise combine(errors)
    for each in errors:
        print(f"hanner: {each}. Its dead letters are left out", file=sys.stderr)
    return reachable


def _select_letters(
    dead: "DeadLetters | AllDeadLetters", code: str | None, older_than: str | None
) -> "Iterator[DeadLetter]":
    letters = dead.letters(dead.ids(before=_before(older_than)))
    return (letter for letter in letters if code is None or letter.code == code)


def _select_ids(
    dead: "DeadLetters | AllDeadLetters",
    ids: list[str] | None,
    code: str | None,
    older_than: str | None,
    *,
    select_all: bool,
) -> list[str]:
    """Return the ids of the selected dead letters.

    Raises:
        UsageError: none are selected, or both ids and options are given.
    """
    filtered = code is not None or older_than is not None
    if bool(ids) + (select_all or filtered) != 1:
        raise UsageError("pass either ids, or --all, --code or --older-than; see `hanner dead list`")
    if ids:
        return ids
    if code is None:  # no letter has to be read, so that unreadable letters can be purged
        return dead.ids(before=_before(older_than))
    return [letter.id for letter in _select_letters(dead, code, older_than)]


def _before(older_than: str | None) -> float | None:
    return None if older_than is None else time.time() - parse_age(older_than)


def _report(count: int, ids: list[str] | None, what: str) -> None:
    print(f"{terminal.pluralize(count, 'request')} {what}.")
    missing = len(set(ids or ())) - count
    if missing > 0:
        raise HannerError(f"{terminal.pluralize(missing, 'id')} not found; see `hanner dead list`")


def parse_age(age: str) -> float:
    """Return an age in seconds, given a number and one of d, h, min, s.

    Raises:
        UsageError: it cannot be parsed.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(d|h|min|s)", age.strip())
    if match is None:
        raise UsageError(f"invalid age {age!r}; write for example 7d, 12h, 30min or 45s")
    return float(match[1]) * UNITS[match[2]]


def _as_dict(letter: "DeadLetter") -> dict[str, Any]:
    return {
        "id": letter.id,
        "task": letter.task,
        "code": letter.code,
        "reason": letter.reason,
        "crashes": letter.crashes,
        "at": datetime.fromtimestamp(letter.at, UTC).isoformat(timespec="seconds"),
        "age_seconds": round(max(0.0, time.time() - letter.at), 1),
    }


def _print_table(letters: "list[DeadLetter]") -> None:
    table = terminal.table("id", "age", "code", "crashes", "reason", right=("age", "crashes"))
    table.columns[0].no_wrap = True
    for letter in letters:
        age = format_duration(max(0.0, time.time() - letter.at))
        table.add_row(letter.id, age, letter.code, str(letter.crashes), letter.reason)
    terminal.console().print(table)
