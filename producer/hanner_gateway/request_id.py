"""The id of the request at hand: taken from X-Request-ID where it is sound, else made here."""

import re
import uuid
from contextvars import ContextVar
from typing import Any

from hanner.contract import EXTRACT, EXTRACT_MANY
from hanner.contract import REQUEST_ID as CELERY_HEADER

HEADER = "X-Request-ID"
SOUND = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
"""Nothing else comes into logs: no blanks, no line ends."""

TASKS = (EXTRACT, EXTRACT_MANY)

_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def current() -> str | None:
    """Return the id of the request at hand."""
    return _current.get()


def adopt(given: str | None) -> str:
    """Make `given`, or a fresh id if it is not sound, the id of the request at hand, and return it."""
    found = given if given is not None and SOUND.fullmatch(given) else uuid.uuid4().hex
    _current.set(found)
    return found


def stamp(sender: str, headers: dict[str, Any], **_: Any) -> None:
    """Write the id into a message that leaves, for the worker's log; a receiver of Celery's `before_task_publish`."""
    if sender in TASKS and (found := current()) is not None:
        headers[CELERY_HEADER] = found
