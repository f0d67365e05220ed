"""Messages that are not requests: they are acknowledged, and their senders get an error if the messages have an id."""

import logging
from collections.abc import Callable
from typing import Any

from hanner.errors import InvalidText
from hanner_worker.batching.message import describe_wrong_header, is_valid_id
from hanner_worker.delivery.inflight import Completion, Outcome
from hanner_worker.payload import TaskPayload, replies_of

logger = logging.getLogger(__name__)


def refuse(message: Any, error: Exception, complete: Callable[[Any, Completion], bool], task: str = "hanner") -> None:
    """Acknowledge a message and store InvalidText as its result.

    Args:
        message: kombu's message.
        error: why it is not a request.
        complete: ends a message; see Dispatcher.complete_message.
        task: name of the task that it was sent to.
    """
    # The error's message may quote the body, so only its type is logged.
    logger.error("refused a message that is not a %s request: %s", task, type(error).__name__)
    headers = message.headers if isinstance(message.headers, dict) else {}
    task_id = headers.get("id")
    if not is_valid_id(task_id):
        message.ack()
        return
    body_hint = f"the message is not a {task} request; send [[argument], {{}}, {{}}] as JSON"
    reason = InvalidText(describe_wrong_header(headers) or body_hint)
    request = TaskPayload(task_id, task, (), {}, tag=str(message.delivery_tag), replies=replies_of(headers))
    complete(message, Completion(request, Outcome.FAILED, reason))
