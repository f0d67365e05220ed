"""Keeps texts out of the log. Senders may put a text into any field of a message, and Celery logs some of them."""

import logging
import re
from collections.abc import Mapping
from typing import Any

LOGGABLE = re.compile(r"[!-~]{1,255}")
"""An id or a name that is logged as it is: printable ASCII without spaces."""
TASK_LOGGERS = (
    "celery.app.amqp",
    "celery.app.trace",
    "celery.backends.base",
    "celery.backends.redis",
    "celery.pool",
    "celery.worker.request",
    "celery.worker.strategy",
)
"""Loggers of Celery whose messages have arguments that come from a task's message."""


def loggable(name: Any) -> str:
    """Return an id or a name for the log, or only its length if it may be a text."""
    if isinstance(name, str) and LOGGABLE.fullmatch(name):
        return name
    return f"<{len(name)} characters>" if isinstance(name, str) else f"<{type(name).__name__}>"


class TaskLogFilter(logging.Filter):
    """Removes exceptions' messages, tracebacks and everything else that may be a text from Celery's messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact a record; return True, because it is logged."""
        if isinstance(record.args, Mapping):
            record.args = {name: _redact(value) for name, value in record.args.items()}
        elif record.args:
            record.args = tuple(map(_redact, record.args))
        record.exc_info = record.exc_text = record.stack_info = None
        record.__dict__.pop("data", None)
        return True


def _redact(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, BaseException):
        return type(value).__name__
    if not isinstance(value, str):
        return f"<{type(value).__name__}>"
    if LOGGABLE.fullmatch(value) or value in _DESCRIPTIONS:
        return value
    error = re.match(r"[A-Za-z_]\w*(?=\()", value)  # the repr of an exception
    return error[0] if error else loggable(value)


class WarningFilter(logging.Filter):
    """Removes the exception from the one warning of Celery's that quotes it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact a record; return True, because it is logged."""
        message = record.getMessage()
        if _OUTSIDE_BODY in message:
            start, _, rest = message.partition(_OUTSIDE_BODY)
            record.msg, record.args = start + _OUTSIDE_BODY + rest.partition("(")[0], ()
        return True


_OUTSIDE_BODY = "Exception raised outside body: "
_DESCRIPTIONS = frozenset({"raised unexpected", "raised expected", "INTERNAL ERROR"})
"""Celery's own words in its messages."""


def install() -> None:
    """Redact what Celery logs about tasks, in this process and in those that are forked from it."""
    for name in TASK_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, TaskLogFilter) for one in logger.filters):
            logger.addFilter(TaskLogFilter())
    warnings = logging.getLogger("py.warnings")
    if not any(isinstance(one, WarningFilter) for one in warnings.filters):
        warnings.addFilter(WarningFilter())
