"""One request of Celery's that shares its pool job with others. Its text is redacted. Overrides Celery's internals."""

import logging
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from celery import signals, states
from celery.exceptions import TaskRevokedError
from celery.worker import state

from hanner.contract import HEADER, REQUEST_ID
from hanner.errors import HannerError
from hanner_worker.batching.message import make_canvas, parse_time, to_timezone
from hanner_worker.batching.redacted_request import RedactedRequest
from hanner_worker.batching.scheduler import QueuedRequest, Size, estimate_size
from hanner_worker.delivery.inflight import Completion, Outcome
from hanner_worker.delivery.qos import CRASHES
from hanner_worker.delivery.results import make_dead_letter
from hanner_worker.payload import TaskPayload, replies_of, texts_of

logger = logging.getLogger(__name__)

MAX_CRASHES = 3
"""A request becomes a dead letter when this many processes died while they worked on it."""
CALLER = re.compile(r"[!-~]{1,128}")
"""A request id that may be logged: printable and short, because any client may send one."""
ANSWERED_BEFORE = "answered before"


class BatchRequest(RedactedRequest):
    """A request that shares its pool job with others.

    Attributes:
        arrived: when it was received, by the dispatcher's clock.
        size: its estimated cost for the model.
        crashes: processes that died while they worked on it.
        isolated: it must not share a batch any more.
        batch_fields: fields of its events about the batch that it is in, or was in last; see `assign_batch`.
        bulk: it came from the bulk queue.
        progress: what a process found before it was interrupted.
    """

    time_start: float | None
    worker_pid: int | None

    def __init__(  # noqa: PLR0913 - Celery's own options, and where and when it was received
        self,
        message: Any,
        *,
        log_text: bool,
        arrived: float,
        max_length: int,
        complete: Callable[[Completion], tuple[Outcome, str]],
        redis_now: Callable[[], float] = time.time,
        bulk: bool = False,
        timezone: Any = None,
        **options: Any,
    ) -> None:
        self._timezone = timezone
        super().__init__(message, log_text=log_text, maybe_iso8601=parse_time, maybe_make_aware=to_timezone, **options)
        self._redis_now = redis_now
        self._complete_revoked = complete
        self.arrived = arrived
        self.size: Size = estimate_size(texts_of(self.type, self.args, self.kwargs), max_length)
        self.crashes = int((message.properties or {}).get(CRASHES, 0))
        self.isolated = self.crashes > 0
        self.batch_fields: dict[str, float] = {}
        self.bulk = bulk
        self.progress = b""
        self._duplicates: list[BatchRequest] = []

    @property
    def tzlocal(self) -> Any:
        """The app's time zone. Celery reads it from the configuration for each request, which is slow."""
        return self._timezone

    def maybe_expire(self) -> bool:
        """Return whether it has expired, by Redis' clock: Celery compares with the clock of the worker's machine."""
        return bool(self.expires) and self._redis_now() > self.expires.timestamp()

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:  # noqa: FBT001
        """End the request as revoked, for Celery. If it has ended before, the first end is kept and announced."""
        error = TaskRevokedError(self._describe_expiry() if expired else reason)
        completion = Completion(self.payload, Outcome.FAILED, error, store_result=self.store_errors)
        outcome, stored = self._complete_revoked(completion)
        self._already_revoked = True
        if outcome is Outcome.NOT_STORED:
            self.requeue()
            return
        self.mark_acknowledged()
        if outcome is Outcome.FAILED:
            self._send_revoked(terminated=terminated, signum=signum, expired=expired)
        elif stored and (outcome is Outcome.ALREADY_ANSWERED or self.time_start):
            self.ended_before(stored)  # such as by its process, just before that was terminated
        else:  # another worker has it
            self.drop()
            self._acknowledge_duplicates()

    def revoked(self) -> bool:
        """End the request if it was revoked or has expired; return whether it has ended.

        If its result is stored already it may be here again because its next steps were not sent; a process sends them.
        """
        if not self._already_revoked:
            if not (self.id in state.revoked or self.stamped_headers or self.maybe_expire()):
                return False
            if self.has_canvas and self.task.backend.get_state(self.id) in states.READY_STATES:
                return False
        return bool(super().revoked())

    @property
    def has_canvas(self) -> bool:
        """Whether other tasks follow it, or it is a part of a chord."""
        return make_canvas({}, self.body[2]) is not None

    def _send_revoked(self, **fields: Any) -> None:
        state.task_ready(self)
        self._acknowledge_duplicates()
        self.send_event("task-revoked", **fields)
        signals.task_revoked.send(self.task, request=self._context, **fields)

    def ended_before(self, stored: str) -> None:
        """Send the event of a result that was stored before, of which `stored` is the state."""
        if stored == states.REVOKED:
            self._send_revoked(terminated=False, signum=None, expired=False)
        elif stored == states.SUCCESS:
            self.succeeded(ANSWERED_BEFORE, 0.0)
        else:
            self.failed(ANSWERED_BEFORE)

    def _describe_expiry(self) -> str:
        """Return why the request has expired, with the clocks that were compared; clients look for `expired`."""
        now = datetime.fromtimestamp(self._redis_now(), UTC)
        expires, now_ = (time_.astimezone(UTC).isoformat(timespec="milliseconds") for time_ in (self.expires, now))
        if self.sent_at is not None:
            return f"expired at {expires} by the clock of Redis, which showed {now_}"
        return f"expired at {expires} by its sender's clock; the clock of Redis showed {now_}"

    @property
    def due(self) -> float | None:
        """When it may start, in Unix seconds; None if it may start now."""
        return self.eta.timestamp() if self.eta and self.eta.timestamp() > self._redis_now() else None

    @property
    def caller(self) -> str | None:
        """The sender's id of the request, such as the gateway's request id, if it may be logged."""
        name = self.request_dict.get(REQUEST_ID)
        return name if isinstance(name, str) and CALLER.fullmatch(name) else None

    @property
    def sends_events(self) -> bool:
        """Whether its events are sent; they need not be made if not."""
        eventer = self._eventer
        return bool(eventer is not None and eventer.sends_task_events and self.task.send_events)

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's signature
        """Send an event, with the size of the request and its batch."""
        if self.sends_events:
            self._eventer.send(type, uuid=self.id, characters=self.size.characters, **self.batch_fields, **fields)

    def send_received_event(self) -> None:
        """Send task-received."""
        if self.sends_events:
            self._eventer.send_later(
                "task-received", _received_fields, self.id, self.size.characters, self.batch_fields, self.name,
                self._argsrepr, self._kwargsrepr, self._root_id, self._parent_id, self.retries, self.eta, self.expires,
            )  # fmt: skip

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Record that a process works on it, and send task-started; as Celery does, in less time.

        Args:
            pid: the process.
            time_accepted: when it received the batch, by the monotonic clock.
        """
        self.worker_pid = pid
        self.time_start = time.time() - (time.monotonic() - time_accepted)
        state.requests[self.id] = self
        state.active_requests.add(self)
        state.total_count[self.name] += 1
        state.all_total_count[0] += 1
        if self.sends_events and not self.progress:  # else it continues
            self._eventer.send_later("task-started", _started_fields, self.id)
        if self._terminate_on_ack is not None:
            self.terminate(*self._terminate_on_ack)

    @property
    def retries(self) -> int:
        """How often it was tried before: by its sender, and by processes that died."""
        return int(self.request_dict.get("retries") or 0) + self.crashes

    def assign_batch(self, batch: int, size: int, waited: float) -> None:
        """Set the batch that it is sent in: its number, its requests, and the seconds it waited in this worker."""
        self.batch_fields = {"batch": batch, "batch_size": size, "waited_ms": round(waited * 1000, 1)}

    def _event_result(self, summary: str) -> str:
        """Return the result as events show it."""
        return _describe_result(summary, self.batch_fields)

    @property
    def sent_at(self) -> float | None:
        """Unix time at which hanner's client sent it; None if the message does not contain it."""
        header = self.request_dict.get(HEADER)
        sent = header.get("sent_at") if isinstance(header, dict) else None
        return float(sent) if isinstance(sent, float | int) else None

    @property
    def queued(self) -> QueuedRequest:
        """The request as the scheduler sees it."""
        size = self.size
        return QueuedRequest(self.id, size.rows, size.tokens, self.arrived, self.isolated, self.bulk)

    @property
    def payload(self) -> TaskPayload:
        """The request as a pool process receives it."""
        return TaskPayload(
            self.id,
            self.type,
            self.args,
            self.kwargs,
            self.group,
            self.request_dict.get("parent_id"),
            self.ignore_result,
            make_canvas(self.request_dict, self.body[2]),
            self.tag,
            self.crashes,
            self.progress,
            replies_of(self.request_dict),
        )

    @property
    def tag(self) -> str:
        """The delivery tag of its message."""
        return str(self.message.delivery_tag)

    @property
    def tags(self) -> list[str]:
        """The delivery tags of its message and of all duplicates."""
        return [self.tag, *(duplicate.tag for duplicate in self._duplicates)]

    @property
    def cancelled(self) -> bool:
        """Whether it was revoked or cancelled while it ran; its end was sent and stored then."""
        return bool(self._already_revoked or self._already_cancelled)

    def merge_duplicate(self, duplicate: "BatchRequest") -> None:
        """Acknowledge another message of this request together with it, so that it runs once."""
        self._duplicates.append(duplicate)

    def acknowledge(self) -> None:
        """Acknowledge the request and its duplicates.

        If the connection is lost nothing is sent: the message is delivered again, and its stored result is found.
        """
        if not self.message.channel.closed:
            super().acknowledge()
        self._acknowledge_duplicates()

    def mark_acknowledged(self) -> None:
        """Record that Redis no longer has its message in flight."""
        self.acknowledged = True
        self.message._state = "ACK"  # noqa: SLF001 - as acknowledging it would
        if not self.message.channel.closed:
            self.message.channel.qos.drop([self.tag])

    def set_channel(self, channel: Any) -> None:
        """Acknowledge it on a new channel."""
        self.message.channel = channel
        for duplicate in self._duplicates:
            duplicate.message.channel = channel

    def switch_to_duplicate(self) -> bool:
        """Continue as a duplicate, because this message is fenced; return False if it has no duplicate."""
        self.mark_acknowledged()
        if not self._duplicates:
            return False
        duplicate = self._duplicates.pop()
        self._message, self._on_ack, self._on_reject = duplicate.message, duplicate.on_ack, duplicate.on_reject
        self.acknowledged = False
        return True

    def _acknowledge_duplicates(self) -> None:
        while self._duplicates:
            self._duplicates.pop().acknowledge()

    def reject(self, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - Celery's signature
        """Reject the request; its duplicates are acknowledged, because one message is enough to run it again."""
        if not self.message.channel.closed:
            super().reject(requeue=requeue)
        self._acknowledge_duplicates()

    def reset_to_pending(self, reason: str, progress: bytes = b"") -> None:
        """Return from running to waiting; a later `terminate` must not hit the next request in its process.

        Args:
            reason: why, for the event.
            progress: what was found before it was interrupted; then no event is sent.
        """
        if self.time_start and not progress:
            self.send_retry_event(reason)
        self.progress = progress
        self.time_start = self.worker_pid = None
        state.active_requests.discard(self)

    def send_retry_event(self, reason: str) -> None:
        """Send task-retried, because the request is queued again; otherwise monitors show it as running."""
        self.send_event("task-retried", exception=reason, traceback="", retries=self.retries)

    def drop(self) -> None:
        """Drop the request without sending events: it was requeued, or another worker owns it."""
        state.task_ready(self)

    def succeeded(self, summary: str, runtime: float) -> None:
        """Acknowledge the request and send task-succeeded: its result is stored. `runtime` is in seconds."""
        # Without `successful`: Celery uses that list only for requests that are active when the connection is lost.
        state.task_ready(self)
        self.acknowledge()
        if self.sends_events:
            self._eventer.send_later(
                "task-succeeded", _succeeded_fields, self.id, self.size.characters, self.batch_fields, summary, runtime
            )

    def failed(self, error: str) -> None:
        """Acknowledge the request and send task-failed: its error is stored. `error` contains no text."""
        state.task_ready(self)
        self.acknowledge()
        result = self._event_result(f"failed, {self.size.characters} characters")
        self.send_event("task-failed", exception=error, traceback="", result=result)
        logger.warning("%s failed: %s", self.humaninfo(), error)

    def requeue(self) -> None:
        """Put the request back into the queue: it has not ended."""
        state.task_ready(self)
        self.reject(requeue=True)

    def dead_letter(self, error: HannerError, complete: Callable[[Completion], Outcome]) -> bool:
        """End the request as a dead letter, because too many processes died while they worked on it.

        Returns:
            False if Redis did not store that: then nothing has changed.
        """
        payload = self.payload
        letter = make_dead_letter(payload, error)
        return self._end_with(
            error, complete(Completion(payload, Outcome.FAILED, error, letter, store_result=self.store_errors))
        )

    def refuse(self, error: HannerError, complete: Callable[[Completion], Outcome]) -> bool:
        """End a request that cannot be sent to a process; its callbacks cannot be trusted, and do not run.

        Returns:
            False if Redis did not store its error: then nothing has changed.
        """
        replies = replies_of(self.request_dict)
        payload = TaskPayload(str(self.id), str(self.type), (), {}, tag=self.tag, replies=replies)
        return self._end_with(error, complete(Completion(payload, Outcome.FAILED, error)))

    def _end_with(self, error: HannerError, outcome: Outcome) -> bool:
        if outcome is Outcome.NOT_STORED:
            return False
        self.mark_acknowledged()
        if outcome is Outcome.FENCED:
            self.drop()
        else:
            self.failed(repr(error))
        return True


# The fields of the frequent events. They are made when the events are sent, because most events are not, see events.py.


def _received_fields(  # noqa: PLR0913 - the fields of the event
    uuid: str,
    characters: int,
    batch_fields: dict[str, float],
    name: str,
    args: str,
    kwargs: str,
    root_id: str | None,
    parent_id: str | None,
    retries: int,
    eta: datetime | None,
    expires: datetime | None,
) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "characters": characters,
        **batch_fields,
        "name": name,
        "args": args,
        "kwargs": kwargs,
        "root_id": root_id,
        "parent_id": parent_id,
        "retries": retries,
        "eta": eta and eta.isoformat(),
        "expires": expires and expires.isoformat(),
    }


def _started_fields(uuid: str) -> dict[str, Any]:
    return {"uuid": uuid}  # it has no fields of the batch: it follows task-received at once


def _succeeded_fields(
    uuid: str, characters: int, batch_fields: dict[str, float], summary: str, runtime: float
) -> dict[str, Any]:
    result = _describe_result(summary, batch_fields)
    return {"uuid": uuid, "characters": characters, **batch_fields, "result": result, "runtime": runtime}


def _describe_result(summary: str, batch_fields: dict[str, float]) -> str:
    """Return a result with its batch, for plain Flower, which does not show the fields of the batch."""
    if not batch_fields:
        return f"<{summary}>"
    batch, size, waited = batch_fields["batch"], batch_fields["batch_size"], batch_fields["waited_ms"]
    requests = "1 request" if size == 1 else f"{size} requests"
    return f"<{summary}, batch {batch} with {requests}, waited {waited:.1f} ms>"
