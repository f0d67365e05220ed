"""Messages of tasks that this worker does not have: they become dead letters, and their callers get an error.

Such a message is mostly a step of another Celery app that was sent to hanner's queue by mistake.
"""

import logging
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from celery.exceptions import NotRegistered

from hanner.errors import HannerError
from hanner_worker.delivery.decoding import MAX_ID_LENGTH
from hanner_worker.delivery.inflight import Completion, Outcome
from hanner_worker.delivery.results import make_dead_letter
from hanner_worker.observability.redaction import loggable
from hanner_worker.payload import TaskPayload

logger = logging.getLogger(__name__)


def dead_letter_unregistered(message: Any, complete: Callable[[Completion], Outcome]) -> TaskPayload | None:
    """Move a message of an unknown task to the dead letters, and store NotRegistered as its result.

    Args:
        message: kombu's message.
        complete: ends one request; see Dispatcher.complete.

    Returns:
        Its id and task, without arguments; None if Redis did not store its end, and the message was requeued.
    """
    request = _read(message)
    reason = f"{request.task} is not a task of this worker; send it to a queue of the app that has it"
    letter = make_dead_letter(request, HannerError(reason))
    outcome = complete(Completion(request, Outcome.FAILED, NotRegistered(request.task), letter))
    if outcome is Outcome.NOT_STORED:
        message.requeue()
        return None
    message._state = "ACK"  # noqa: SLF001 - Redis no longer has it in flight
    message.channel.qos.drop([request.tag])
    # Neither its headers nor its body: they contain its arguments.
    logger.error("moved %s[%s] to the dead letters: %s", request.task, loggable(request.id), reason)
    return request


def _read(message: Any) -> TaskPayload:
    """Return id and task of a message of either protocol; a message without a valid id gets a new one."""
    fields = message.headers if "task" in message.headers else message.payload
    task_id, task = fields.get("id"), loggable(fields["task"])
    if not isinstance(task_id, str) or not 0 < len(task_id) <= MAX_ID_LENGTH:
        task_id = str(uuid4())
    return TaskPayload(task_id, task, (), {}, tag=str(message.delivery_tag))
