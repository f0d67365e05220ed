"""Documents that delivery stores: results in the format of Celery's Redis backend, and dead letters. Sends nothing."""

import time
from collections.abc import Sequence
from typing import Any

from celery import states
from celery.exceptions import TaskRevokedError

from hanner.errors import HannerError
from hanner.utils.json import dumps
from hanner_worker.payload import TaskPayload

UNREADABLE = "UNREADABLE"
"""State of a stored result that is not a document of Celery's."""


def encode_result(
    backend: Any, request: TaskPayload, result: Any, done: str, children: Sequence[Any] = ()
) -> tuple[bytes, int]:
    """Return a result as the backend would store it, and for how many seconds: 0 is forever.

    Args:
        backend: the app's Redis backend, for its encoding and expiry.
        request: the request.
        result: a JSON value, or the exception with which the request failed.
        done: when it ended, in ISO 8601.
        children: the next steps that were sent, each as Celery's `as_tuple`.
    """
    state = states.SUCCESS
    if isinstance(result, BaseException):
        state = states.REVOKED if isinstance(result, TaskRevokedError) else states.FAILURE
    document = dumps(  # results are JSON and nothing else, see hanner/transport/celery_app.py
        {
            "status": state,
            "result": backend.encode_result(result, state),
            "traceback": None,  # it would show code of the worker to the caller
            "children": children,
            "date_done": done,
            **({"group_id": request.group} if request.group else {}),
            **({"parent_id": request.parent} if request.parent else {}),
            "task_id": request.id,
        }
    )
    expires = backend.failure_expires if state == states.FAILURE else backend.expires
    return document, expires or 0


def decode_state(backend: Any, document: bytes) -> str:
    """Return Celery's state of a stored result."""
    try:
        return str(backend.decode(document).get("status"))
    except Exception:  # noqa: BLE001 - any client may write there
        return UNREADABLE


def make_dead_letter(request: TaskPayload, error: HannerError) -> dict[str, Any]:
    """Return a dead letter without its message, which Redis adds; see QueueKeys.dead."""
    return {
        "id": request.id,
        "task": request.task,
        "code": "" if error.code is None else str(error.code),
        "reason": str(error),
        "crashes": request.crashes,
        "at": time.time(),
    }
