"""Builds the message of a request as Celery and kombu would, ten times faster. Pure, except for Celery's signals.

A test compares it with Celery's own message. Text is UTF-8, where Celery would escape it: half the size.
"""

import os
import socket
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from celery.signals import after_task_publish, before_task_publish
from celery.utils.saferepr import saferepr

from hanner.contract import HEADER, redact_args
from hanner.utils import tracing
from hanner.utils.json import dumps

REPR_CHARACTERS: Final = 1024
"""Celery's own limit for arguments in logs and events."""


class MessageBuilder:
    """Builds the messages of one client.

    Args:
        log_text: Whether the message's description of its arguments, which workers log, may contain text.
    """

    def __init__(self, *, log_text: bool) -> None:
        self._log_text = log_text
        self._origin = f"hanner{os.getpid()}@{socket.gethostname()}"

    def build(  # noqa: PLR0913 - the fields of a message
        self,
        task_id: str,
        task: str,
        argument: str | Sequence[str],
        *,
        queue: str,
        now: float,
        expires: float | None = None,
        replies: str | None = None,
    ) -> "Message":
        """Return the message of a request, and send Celery's signal `before_task_publish`.

        Args:
            task_id: Its id, a UUID.
            task: A task name of the contract.
            argument: The text, or the texts, after validation.
            queue: The list that it will be pushed to.
            now: Unix seconds.
            expires: Seconds from now after which a worker discards it.
            replies: Name of the channel that its result is also published on; see contract.HEADER.
        """
        args = [argument]
        header: dict[str, Any] = {"sent_at": round(now, 3), "texts": 1 if isinstance(argument, str) else len(argument)}
        if replies is not None:
            header["replies"] = replies
        headers = {
            "lang": "py",
            "task": task,
            "id": task_id,
            "shadow": None,
            "eta": None,
            "expires": None if expires is None else _expiry_time(now, expires),
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": task_id,
            "parent_id": None,
            "argsrepr": saferepr(args, REPR_CHARACTERS) if self._log_text else redact_args(args),
            "kwargsrepr": "{}",
            "origin": self._origin,
            "ignore_result": False,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
            HEADER: header,
        }
        properties = {
            "correlation_id": task_id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": task_id,  # must be unique
        }
        tracing.inject_context(headers)
        message = Message(task, args, headers, properties)
        message.send_signal(before_task_publish, declare=[], properties=properties, retry_policy={})
        return message


class Message:
    """The message of one request. Receivers of Celery's signals, such as tracers, may add headers and properties."""

    __slots__ = ("_body", "_headers", "_properties", "task")

    def __init__(self, task: str, args: list[Any], headers: dict[str, Any], properties: dict[str, Any]) -> None:
        self.task = task
        self._headers = headers
        self._properties = properties
        self._body: Any = (args, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None})

    def encode(self) -> bytes:
        """Return the bytes that are pushed to the queue's list."""
        message = {
            "body": b64encode(dumps(self._body)).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": self._headers,
            "properties": self._properties,
        }
        return dumps(message)

    def send_published_signal(self) -> None:
        """Send Celery's signal `after_task_publish`."""
        self.send_signal(after_task_publish)

    def send_signal(self, signal: Any, **more: Any) -> None:
        """Send one of Celery's signals if it has receivers."""
        if signal.receivers:
            delivery_info = self._properties["delivery_info"]
            signal.send(sender=self.task, body=self._body, headers=self._headers, **delivery_info, **more)


def _expiry_time(now: float, seconds: float) -> str:
    return (datetime.fromtimestamp(now, UTC) + timedelta(seconds=seconds)).isoformat()
