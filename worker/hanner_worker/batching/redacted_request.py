"""Celery's request without its text, for logs, events and remote control. Overrides Celery's internals.

Senders describe arguments, name and origin of a task in headers, as they like. Here these are replaced.
"""

from typing import Any

from celery.worker.request import Request

from hanner.contract import redact_args
from hanner_worker.context import get_context
from hanner_worker.delivery.inflight import list_of
from hanner_worker.observability.redaction import LOGGABLE, loggable

PRIORITIES = range(256)


class RedactedRequest(Request):  # type: ignore[misc]
    """A request that shows its text only if it may be logged.

    Args:
        message: kombu's message.
        log_text: texts may be logged; by default as the worker's settings say.
        **options: Celery's.
    """

    def __init__(self, message: Any, *, log_text: bool | None = None, **options: Any) -> None:
        super().__init__(message, **options)
        self._log_text = get_context().settings.log_text if log_text is None else log_text
        self.name = self._type
        self._request_dict["shadow"] = None  # another name, chosen by the sender
        if not self._log_text:
            self._redact()

    def _redact(self) -> None:
        values = self.args if self.args or not isinstance(self.kwargs, dict) else list(self.kwargs.values())
        self._argsrepr, self._kwargsrepr = redact_args(values), "{}"
        self._request_dict.update(argsrepr=self._argsrepr, kwargsrepr=self._kwargsrepr)
        self._root_id: str | None = _without_text(self._request_dict.get("root_id"))
        self._parent_id: str | None = _without_text(self._request_dict.get("parent_id"))
        priority = self._delivery_info["priority"]
        queue = list_of(str(self.message.delivery_tag))
        self._delivery_info.update(exchange="", routing_key=queue, redelivered=False)
        if type(priority) is not int or priority not in PRIORITIES:
            self._delivery_info["priority"] = 0

    def humaninfo(self) -> str:
        """Return its task and id for the log."""
        return f"{self.name}[{self.id if self._log_text else loggable(self.id)}]"

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - Celery's signature
        """Return what `celery inspect` shows of the request."""
        described: dict[str, Any] = super().info(safe=safe or not self._log_text)
        return described


def _without_text(task_id: Any) -> str | None:
    """Return an id for events, or None if it may be a text."""
    return task_id if isinstance(task_id, str) and LOGGABLE.fullmatch(task_id) else None


class UnbatchedRequest(RedactedRequest):
    """A request of a task that is not batched, such as Celery's own."""

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's signature
        """Send an event without result and error, which quote the arguments."""
        if not self._log_text:
            for name in ("result", "exception", "traceback"):
                if name in fields:
                    fields[name] = f"<{len(str(fields[name]))} characters>"
        super().send_event(type, **fields)
