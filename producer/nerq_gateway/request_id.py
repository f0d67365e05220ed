"""The id of the request at hand: taken from X-Request-ID where it is sound, else made here."""

import re
import uuid
from contextvars import ContextVar

HEADER = "X-Request-ID"
SOUND = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
"""Nothing else comes into logs: no blanks, no line ends."""

_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def current() -> str | None:
    """Return the id of the request at hand."""
    return _current.get()


def adopt(given: str | None) -> str:
    """Make `given`, or a fresh id if it is not sound, the id of the request at hand, and return it."""
    found = given if given is not None and SOUND.fullmatch(given) else uuid.uuid4().hex
    _current.set(found)
    return found


def headers() -> dict[str, str]:
    """Return the headers of a Celery message that carry the id to the worker's log."""
    found = current()
    return {} if found is None else {"request_id": found}
