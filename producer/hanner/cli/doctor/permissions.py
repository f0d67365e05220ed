"""Checks what the Redis user is permitted to do, with commands that change nothing. Does I/O."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

from redis.exceptions import NoPermissionError, ResponseError

from hanner.cli.doctor.result import CheckResult, fail, ok
from hanner.queue.keys import RESULT_PREFIX

COMMAND_DENIED = " to run the "
"""Part of Redis' error if a command is denied, not a key or channel."""
REPLY_TIMEOUT = 5.0
"""Seconds to wait until Redis confirms a subscription."""


def check_permissions(redis: Any, queue: str, database: int) -> CheckResult:
    """Return which rules the Redis user lacks for hanner's keys, channels and commands.

    CLIENT UNBLOCK is not checked: only a worker needs it, and logs that it lacks it.

    Args:
        redis: a client of Redis.
        queue: name of the queue.
        database: number of the database, which the names of Celery's channels contain.
    """
    name = f"doctor-{uuid4().hex}"  # of keys that do not exist, and of channels that have no other subscriber
    missing = [*_missing_for_keys(redis, queue, name), *_missing_for_channels(redis, name, database)]
    if missing:
        fix = f"add the rules {' '.join(dict.fromkeys(missing))} to it; docs/how-to/redis.md has all that hanner needs"
        return fail(
            "permissions", f"{_user(redis)} is not permitted to use all of hanner's keys, channels and commands", fix
        )
    return ok("permissions", f"{_user(redis)} is permitted to use hanner's keys, channels and commands")


def _missing_for_keys(redis: Any, queue: str, name: str) -> Iterator[str]:
    """Yield rules of keys, which UNLINK tries to delete, and of commands."""
    keys = {
        "~hanner*": f"hanner:{name}",
        f"~{queue}*": f"{queue}.{name}",
        "~celery*": f"{RESULT_PREFIX}{name}",
        "~_kombu.binding*": f"_kombu.binding.{name}",
        "~*.celery.pidbox*": f"{name}.reply.celery.pidbox",
    }
    for rule, key in keys.items():
        if denied := _denied(redis, "UNLINK", key):
            yield "+unlink" if COMMAND_DENIED in denied else rule
    commands = ("INFO", "server"), ("TIME",), ("EVAL", "return 1", 0), ("LLEN", queue), ("MGET", RESULT_PREFIX)
    for command in commands:
        if COMMAND_DENIED in _denied(redis, *command):
            yield f"+{command[0].lower()}"


def _missing_for_channels(redis: Any, name: str, database: int) -> Iterator[str]:
    channels = {
        "&hanner*": f"hanner:{name}",
        "&celery*": f"{RESULT_PREFIX}{name}",
        f"&/{database}.celery.pidbox": f"/{database}.celery.pidbox",
        f"&/{database}.celeryev/*": f"/{database}.celeryev/{name}",
    }
    for rule, channel in channels.items():
        with closing(redis.pubsub()) as subscriber:
            try:
                subscriber.subscribe(channel)
                subscriber.get_message(timeout=REPLY_TIMEOUT)
            except NoPermissionError as error:
                yield "+subscribe" if COMMAND_DENIED in str(error) else rule


def _denied(redis: Any, *command: Any) -> str:
    """Return the error with which a command was denied; empty if it was not."""
    try:
        redis.execute_command(*command)
    except NoPermissionError as error:
        return str(error)
    except ResponseError:
        return ""  # such as of a replica or a cluster, which have checks of their own
    return ""


def _user(redis: Any) -> str:
    try:
        return f"the Redis user {redis.acl_whoami()}"
    except ResponseError:
        return "the Redis user"
