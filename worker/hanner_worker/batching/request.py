"""One request's life in Celery's terms, with its text masked. Touches Celery's internals, as strategy.py does."""

import logging
import re
import time
from typing import Any

from celery.worker import state
from celery.worker.request import Request

from hanner.contract import HEADER, REQUEST_ID, redact_args
from hanner.errors import HannerError
from hanner_worker.batching.estimate import Size, estimate
from hanner_worker.batching.scheduler import QueuedRequest
from hanner_worker.delivery.qos import DEATHS
from hanner_worker.delivery.results import Record, ResultStore
from hanner_worker.execution.answers import TaskPayload, texts_of
from hanner_worker.execution.batch import dead_letter

logger = logging.getLogger(__name__)

MAX_DEATHS = 3
"""A request during which this many processes died is set aside."""
CALLER = re.compile(r"[!-~]{1,128}")
"""Printable and short: anybody may send."""
FOLLOWERS = ("callbacks", "errbacks", "chain", "chord")


class BatchRequest(Request):  # type: ignore[misc]
    """A request that shares its pool job with others.

    Attributes:
        arrived: when, by the dispatcher's clock.
        size: what it will cost the model.
        deaths: processes that died while they worked on it.
        alone: it must not share a batch any more.
        place: fields of its events: the batch that it is in, or was in last; see `board`.
        bulk: it came from the bulk queue.
    """

    time_start: float | None

    def __init__(  # Celery's own options, and where and when it came
        self, message: Any, *, log_text: bool, arrived: float, max_length: int, bulk: bool = False, **options: Any
    ) -> None:
        super().__init__(message, **options)
        self.arrived = arrived
        self.size: Size = estimate(texts_of(self.type, self.args, self.kwargs), max_length)
        self.deaths = int((message.properties or {}).get(DEATHS, 0))
        self.alone = self.deaths > 0
        self.place: dict[str, float] = {}
        self.bulk = bulk
        self._log_text = log_text
        self._copies: list[BatchRequest] = []
        if not log_text:
            self._mask()

    def _mask(self) -> None:
        """Hide the text from logs, events and remote control; a foreign sender put it in the headers as it is."""
        values = self.args if self.args or not isinstance(self.kwargs, dict) else list(self.kwargs.values())
        self._argsrepr, self._kwargsrepr = redact_args(values), "{}"
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

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's signature
        """Send an event; how large the request is and what batch it was in go with it."""
        if type != "task-started":  # at once after what came before, and there is one for each
            fields = {"characters": self.size.characters, **self.place, **fields}
        super().send_event(type, **fields)

    @property
    def retries(self) -> int:
        """How often it was tried before: by its sender, and by processes that died."""
        return int(self.request_dict.get("retries") or 0) + self.deaths

    def board(self, batch: int, size: int, waited: float) -> None:
        """Take note of the batch that it leaves with: its number, its requests, seconds waited in this worker."""
        self.place = {"batch": batch, "batch_size": size, "waited_ms": round(waited * 1000, 1)}

    def _placed(self, summary: str) -> str:
        """Return what the events say as the result, for those who see no other field, as in plain Flower."""
        place = self.place
        if not place:
            return f"<{summary}>"
        batch, size, waited = (place[name] for name in ("batch", "batch_size", "waited_ms"))
        requests = "1 request" if size == 1 else f"{size} requests"
        return f"<{summary}, batch {batch} with {requests}, waited {waited:.1f} ms>"

    @property
    def sent_at(self) -> float | None:
        """Unix time at which hanner's client sent it; None if its sender did not say."""
        said = self.request_dict.get(HEADER)
        sent = said.get("sent_at") if isinstance(said, dict) else None
        return float(sent) if isinstance(sent, float | int) else None

    @property
    def item(self) -> QueuedRequest:
        """The request as the policy sees it."""
        size = self.size
        return QueuedRequest(self.id, size.rows, size.longest, self.arrived, self.alone, self.bulk)

    @property
    def work(self) -> TaskPayload:
        """The request as the pool process gets it."""
        embed = self._payload[2] or {}
        canvas = None
        if any(embed.get(name) for name in FOLLOWERS):
            canvas = {**self.request_dict, **embed, "is_eager": False}
        return TaskPayload(
            self.id,
            self.type,
            self.args,
            self.kwargs,
            self.group,
            self.parent_id,
            self.ignore_result,
            canvas,
            self.tag,
            self.deaths,
        )

    @property
    def tag(self) -> str:
        """The message it came in, as the ledger knows it."""
        return str(self.message.delivery_tag)

    @property
    def tags(self) -> list[str]:
        """All messages it came in."""
        return [self.tag, *(copy.tag for copy in self._copies)]

    @property
    def over(self) -> bool:
        """It was revoked or cancelled while it ran; nothing more may be said about it."""
        return bool(self._already_revoked or self._already_cancelled)

    def adopt(self, copy: "BatchRequest") -> None:
        """Take over the acknowledgement of another message of this request, so that it runs once."""
        self._copies.append(copy)

    def acknowledge(self) -> None:
        """Acknowledge it and all its copies.

        If the connection is lost nothing is said: the message comes again and is recognised as answered.
        """
        if not self.message.channel.closed:
            super().acknowledge()
        self._acknowledge_copies()

    def settle(self) -> None:
        """Take note that it was acknowledged together with its result."""
        self.acknowledged = True
        self.message._state = "ACK"  # noqa: SLF001 - what acknowledging it would set
        if not self.message.channel.closed:
            self.message.channel.qos.forget([self.tag])

    def move(self, channel: Any) -> None:
        """Go on with a new channel, to be acknowledged there."""
        self.message.channel = channel
        for copy in self._copies:
            copy.message.channel = channel

    def follow(self) -> bool:
        """Go on as the next copy, because this message is not held any more; False if there is none."""
        self.settle()
        if not self._copies:
            return False
        copy = self._copies.pop()
        self._message, self._on_ack, self._on_reject = copy.message, copy.on_ack, copy.on_reject
        self.acknowledged = False
        return True

    def _acknowledge_copies(self) -> None:
        while self._copies:
            self._copies.pop().acknowledge()

    def reject(self, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - Celery's signature
        """Reject it and all its copies."""
        if not self.message.channel.closed:
            super().reject(requeue=requeue)
        self._acknowledge_copies()  # one of them is enough to run it again

    def step_back(self, reason: str) -> None:
        """Return from running to waiting; a later `terminate` must not hit whoever runs in its process then."""
        if self.time_start:
            self.retried(reason)
        self.time_start = self.worker_pid = None
        state.active_requests.discard(self)

    def retried(self, reason: str) -> None:
        """Say that it waits again, after it had begun; else it would seem to run until it begins once more."""
        self.send_event("task-retried", exception=reason, traceback="", retries=self.retries)

    def leave(self) -> None:
        """Forget it without a word to anybody: it is in the queue again, or another worker has it."""
        state.task_ready(self)

    def answered(self, summary: str, runtime: float) -> None:
        """End it: its result is stored. `runtime` is in seconds."""
        state.task_ready(self, successful=True)
        self.acknowledge()
        self.send_event("task-succeeded", result=self._placed(summary), runtime=runtime)

    def failed(self, error: str) -> None:
        """End it: its failure is stored. `error` is fit for events."""
        state.task_ready(self)
        self.acknowledge()
        told = self._placed(f"failed, {self.size.characters} characters")
        self.send_event("task-failed", exception=error, traceback="", result=told)
        logger.warning("%s[%s] failed: %s", self.name, self.id, error)

    def unstored(self) -> None:
        """Give it back to the queue: it has no end."""
        state.task_ready(self)
        self.reject(requeue=True)

    def set_aside(self, error: HannerError, store: ResultStore) -> None:
        """End it as a dead letter: processes died of it, again and again."""
        plain = self.work.canvas is None
        try:
            if not plain:  # what follows from it is told by Celery
                self.task.backend.mark_as_failure(self.id, error, request=self._context, store_result=self.store_errors)
            letter = dead_letter(self.id, self.type, error, self.deaths, time.time())
            stored = plain and self.store_errors
            (held,) = store.store([Record(self.id, error, self.tag, self.group, self.parent_id, stored, letter=letter)])
        except Exception:
            logger.exception("the loss of %s could not be stored; it goes back to the queue", self.humaninfo())
            self.unstored()
            return
        self.settle()
        if held:
            self.failed(repr(error))
        else:
            self.leave()

    def refuse(self, error: HannerError, store: ResultStore) -> None:
        """End it because it cannot even be handed to a process; what it says of callbacks is not believed."""
        try:
            store.store([Record(str(self.id), error, self.tag)])
        finally:
            self.failed(repr(error))
