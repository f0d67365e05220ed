"""Messages of tasks that this worker does not have: they become dead letters, and their callers get an error.

Such a message is mostly a step of another Celery app that was sent to hanner's queue by mistake.
"""

import logging
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from celery.exceptions import NotRegistered

from hanner.errors import HannerError
from hanner_worker.batching.message import decode_body, is_valid_id, make_canvas, validate
from hanner_worker.delivery.inflight import Completion, Outcome
from hanner_worker.delivery.results import make_dead_letter
from hanner_worker.observability.redaction import loggable
from hanner_worker.payload import TaskPayload, replies_of

logger = logging.getLogger(__name__)


def dead_letter_unregistered(message: Any, complete: Callable[[Any, Completion], bool]) -> TaskPayload | None:
    """Move a message of an unknown task to the dead letters, and store NotRegistered as its result.

    Its errbacks are sent, and a chord that it is a part of fails.

    Args:
        message: kombu's message.
        complete: ends a message; see Dispatcher.complete_message.

    Returns:
        Its id and task, without arguments; None if Redis did not store its end.
    """
    request = _read(message)
    reason = f"{request.task} is not a task of this worker; send it to a queue of the app that has it"
    letter = make_dead_letter(request, HannerError(reason))
    if not complete(message, Completion(request, Outcome.FAILED, NotRegistered(request.task), letter)):
        return None
    # Neither its headers nor its body: they contain its arguments.
    logger.error("moved %s[%s] to the dead letters: %s", request.task, loggable(request.id), reason)
    return request


def _read(message: Any) -> TaskPayload:
    """Return id, task and canvas of a message of either protocol; a message without a valid id gets a new one."""
    headers = message.headers
    fields = headers if "task" in headers else message.payload
    task_id, task = fields.get("id"), loggable(fields["task"])
    known = is_valid_id(task_id)
    tag, replies = str(message.delivery_tag), replies_of(headers)
    request = TaskPayload(task_id if known else str(uuid4()), task, (), {}, tag=tag, replies=replies)
    if not known or fields is not headers:
        return request
    try:
        _, _, embed = decode_body(message)
        validate(headers, embed)
    except Exception:  # noqa: BLE001 - whatever a client sends
        return request
    return request._replace(
        group=headers.get("group"), parent=headers.get("parent_id"), canvas=make_canvas(headers, embed)
    )
