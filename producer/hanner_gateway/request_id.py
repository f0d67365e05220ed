"""The id of the current request: X-Request-ID if it is valid, else a new one. Kept in a context variable."""

import re
import uuid
from contextvars import ContextVar
from typing import Any

from hanner.contract import EXTRACT, EXTRACT_MANY
from hanner.contract import REQUEST_ID as CELERY_HEADER

HEADER = "X-Request-ID"
VALID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
"""Ids go into logs, so they contain neither spaces nor line breaks."""

TASKS = (EXTRACT, EXTRACT_MANY)

_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def current() -> str | None:
    """Return the id of the current request."""
    return _current.get()


def set_current(received: str | None) -> str:
    """Set the id of the current request and return it: `received`, or a new one if that is not valid."""
    value = received if received is not None and VALID.fullmatch(received) else uuid.uuid4().hex
    _current.set(value)
    return value


def add_to_message(sender: str, headers: dict[str, Any], **_: Any) -> None:
    """Put the id into the headers of an outgoing message, for the worker's log.

    A receiver of Celery's signal `before_task_publish`.
    """
    if sender in TASKS and (value := current()) is not None:
        headers[CELERY_HEADER] = value
