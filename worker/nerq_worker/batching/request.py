"""One request's life in Celery's terms, with its text masked. Touches Celery's internals, as strategy.py does."""

import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from celery.worker import state
from celery.worker.request import Request

from nerq.contract import REQUEST_ID, masked
from nerq.errors import WorkerLost
from nerq_worker.batching.answers import Work, texts_of
from nerq_worker.batching.consumer import acknowledge
from nerq_worker.batching.estimate import Size, estimate
from nerq_worker.batching.policy import Item

logger = logging.getLogger(__name__)

MAX_DEATHS = 3
"""A request during which this many processes died is set aside."""
CALLER = re.compile(r"[!-~]{1,128}")
"""Printable and short: anybody may send."""
FOLLOWERS = ("callbacks", "errbacks", "chain", "chord")


def acknowledge_together(requests: Iterable["BatchRequest"]) -> None:
    """Acknowledge requests in one round trip; those for which it fails are acknowledged one by one when they end."""
    open_ = [request for request in requests if not request.acknowledged and not request.message.channel.closed]
    for channel in {id(request.message.channel): request.message.channel for request in open_}.values():
        together = [request for request in open_ if request.message.channel is channel]
        with suppress(*channel.connection_errors):
            acknowledge([request.message for request in together])
            for request in together:
                request.acknowledged = True


class BatchRequest(Request):  # type: ignore[misc]
    """A request that shares its pool job with others.

    Attributes:
        epoch: which connection to the broker delivered it; see Dispatcher.
        arrived: when, by the dispatcher's clock.
        size: what it will cost the model.
        deaths: processes that died while they worked on it.
        alone: it must not share a batch any more.
    """

    def __init__(  # Celery's own options, and where and when it came
        self, message: Any, *, log_text: bool, epoch: int, arrived: float, max_length: int, **options: Any
    ) -> None:
        super().__init__(message, **options)
        self.epoch = epoch
        self.arrived = arrived
        self.size: Size = estimate(texts_of(self.type, self.args, self.kwargs), max_length)
        self.deaths = 0
        self.alone = False
        self._log_text = log_text
        self._copies: list[Request] = []
        if not log_text:
            self._mask()

    def _mask(self) -> None:
        """Hide the text from logs, events and remote control; a foreign sender put it in the headers as it is."""
        values = self.args if self.args or not isinstance(self.kwargs, dict) else list(self.kwargs.values())
        self._argsrepr, self._kwargsrepr = masked(values), "{}"
        self._request_dict.update(argsrepr=self._argsrepr, kwargsrepr=self._kwargsrepr)

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - Celery's signature
        """Describe the request for `celery inspect`."""
        described: dict[str, Any] = super().info(safe=safe or not self._log_text)
        return described

    @property
    def caller(self) -> str | None:
        """What its sender calls the request that it belongs to, such as the gateway's request id; fit for logs."""
        name = self.request_dict.get(REQUEST_ID)
        return name if isinstance(name, str) and CALLER.fullmatch(name) else None

    @property
    def item(self) -> Item:
        """The request as the policy sees it."""
        size = self.size
        return Item(self.id, size.rows, size.longest, self.arrived, self.alone)

    @property
    def work(self) -> Work:
        """The request as the pool process gets it."""
        embed = self._payload[2] or {}
        canvas = None
        if any(embed.get(name) for name in FOLLOWERS):
            canvas = {**self.request_dict, **embed, "is_eager": False}
        group, parent = self.group, self.parent_id
        return Work(self.id, self.type, self.args, self.kwargs, group, parent, self.ignore_result, canvas)

    @property
    def over(self) -> bool:
        """It was revoked or cancelled while it ran; nothing more may be said about it."""
        return bool(self._already_revoked or self._already_cancelled)

    def adopt(self, copy: "BatchRequest") -> None:
        """Take over the acknowledgement of another delivery of this request, so that it runs once."""
        if copy.message.delivery_tag == self.message.delivery_tag:
            self._message, self._on_ack, self._on_reject = copy.message, copy.on_ack, copy.on_reject
        else:
            self._copies.append(copy)
        self.epoch = copy.epoch

    def acknowledge(self) -> None:
        """Acknowledge it and all its copies.

        If the connection is lost nothing is said: the broker delivers it again and it is recognised as answered.
        """
        if not self.message.channel.closed:
            super().acknowledge()
        while self._copies:
            self._copies.pop().acknowledge()

    def reject(self, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - Celery's signature
        """Reject it and all its copies."""
        if not self.message.channel.closed:
            super().reject(requeue=requeue)
        while self._copies:
            self._copies.pop().acknowledge()  # one of them is enough to run it again

    def step_back(self) -> None:
        """Return from running to waiting; a later `terminate` must not hit whoever runs in its process then."""
        self.time_start = self.worker_pid = None
        state.active_requests.discard(self)

    def leave(self) -> None:
        """Forget it without a word to the broker, which still has it."""
        state.task_ready(self)

    def answered(self, summary: str, runtime: float) -> None:
        """End it: its result is stored. `runtime` is in seconds."""
        state.task_ready(self, successful=True)
        self.acknowledge()
        self.send_event("task-succeeded", result=f"<{summary}>", runtime=runtime)

    def failed(self, error: str) -> None:
        """End it: its failure is stored. `error` is fit for events."""
        state.task_ready(self)
        self.acknowledge()
        self.send_event("task-failed", exception=error, traceback="")
        logger.warning("%s[%s] failed: %s", self.name, self.id, error)

    def unstored(self) -> None:
        """Give it back to the queue: it ran, and its end could not be stored."""
        state.task_ready(self)
        self.reject(requeue=True)

    def set_aside(self) -> None:
        """End it as lost: each process that worked on it died."""
        error = WorkerLost()
        try:
            self.task.backend.mark_as_failure(self.id, error, request=self._context, store_result=self.store_errors)
        except Exception:
            logger.exception("the loss of %s could not be stored; it goes back to the queue", self.humaninfo())
            self.unstored()
        else:
            self.failed(repr(error))
