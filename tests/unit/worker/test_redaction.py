"""What Celery logs about a task has no text."""

import io
import logging

import pytest

from hanner_worker.observability.redaction import TaskLogFilter, WarningFilter, loggable

SECRET = "秘密 secret"


@pytest.fixture
def logged():
    """Return a function that logs with a filter, and returns what was written."""

    def log(filter_, message, *args, **options):
        stream = io.StringIO()
        logger, handler = logging.getLogger("test.redaction"), logging.StreamHandler(stream)
        logger.addHandler(handler)
        logger.addFilter(filter_)
        logger.error(message, *args, **options)
        logger.removeFilter(filter_)
        logger.removeHandler(handler)
        return stream.getvalue()

    return log


def test_ids_are_logged_and_texts_are_not():
    assert loggable("0f8e-1") == "0f8e-1"
    assert loggable(SECRET) == "<9 characters>"
    assert loggable("x" * 256) == "<256 characters>"
    assert loggable([SECRET]) == "<list>"


def test_an_error_is_logged_without_its_message_and_traceback(logged):
    context = {"name": "t", "id": "1", "description": "raised unexpected", "exc": f"ValueError('{SECRET}')"}
    message = "Task %(name)s[%(id)s] %(description)s: %(exc)s"
    line = logged(TaskLogFilter(), message, context, exc_info=ValueError(SECRET), extra={"data": context})
    assert line == "Task t[1] raised unexpected: ValueError\n"


def test_arguments_that_may_be_texts_are_replaced(logged):
    line = logged(TaskLogFilter(), "%s %r %r %s %s", "id", SECRET, ValueError(SECRET), 2.5, [SECRET])
    assert line == "id '<9 characters>' 'ValueError' 2.5 <list>\n"
    assert logged(TaskLogFilter(), "no arguments") == "no arguments\n"


def test_the_warning_that_quotes_an_exception_is_cut(logged):
    warning = f"trace.py:809: RuntimeWarning: Exception raised outside body: ValueError('{SECRET}'):\n{SECRET}"
    assert logged(WarningFilter(), "%s", warning).endswith("outside body: ValueError\n")
    assert logged(WarningFilter(), "%s", "other") == "other\n"
