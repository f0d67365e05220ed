"""The `Task.Strategy` of batched tasks: Celery's consumer calls it for every message. Uses Celery's internals.

Rate limits are ignored: they would keep single requests out of batches, and a worker is limited by its processes.
"""

import logging
import select
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import signals
from celery.concurrency.prefork import TaskPool
from celery.exceptions import ImproperlyConfigured
from celery.worker import state
from celery.worker.strategy import hybrid_to_proto2, proto1_to_proto2

from hanner.errors import HannerError, WorkerLost
from hanner_worker.batching.dispatcher import Dispatcher
from hanner_worker.batching.message import decode_body, validate
from hanner_worker.batching.refusal import refuse
from hanner_worker.batching.request import MAX_CRASHES, BatchRequest
from hanner_worker.context import get_context
from hanner_worker.delivery.decoding import FAULT, MAX_TAKEOVERS, SIZE
from hanner_worker.delivery.inflight import Completion, Outcome
from hanner_worker.delivery.results import make_dead_letter
from hanner_worker.observability.redaction import loggable
from hanner_worker.payload import TaskPayload, replies_of

logger = logging.getLogger(__name__)

PREFORK_ONLY = (
    "hanner's worker needs Celery's prefork pool and event loop; start it without --pool, or with --pool prefork"
)

RETRY_REASON = "its process or worker died; it is retried"
"""Reason in the task-retried event of a request that was started before and is delivered again."""

EXIT_TIMEOUT = 0.1
"""Seconds in which a process that has closed its pipes exits; it takes less than a millisecond."""

Handler = Callable[[Any, Any, Any, Any, Any], None]


def start(task: Any, app: Any, consumer: Any, **_: Any) -> Handler:
    """Return the handler of `task`'s messages; Celery calls this at start and after every reconnect.

    Raises:
        ImproperlyConfigured: batches cannot be sent to this pool.
    """
    if consumer.hub is None or not isinstance(consumer.pool, TaskPool):
        raise ImproperlyConfigured(PREFORK_ONLY)
    return Strategy(task, app, consumer, _dispatcher(consumer))


def _dispatcher(consumer: Any) -> Dispatcher:
    """Return the worker's one dispatcher, connected to the consumer's present connection."""
    dispatcher: Dispatcher | None = getattr(consumer, "hanner_dispatcher", None)
    if dispatcher is None:
        patch_exit_detection(consumer.pool)
        dispatcher = consumer.hanner_dispatcher = Dispatcher(consumer, get_context())
    else:
        dispatcher.on_reconnect()
    return dispatcher


def make_message_handler(consumer: Any, celery_handler: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return the handler of the consumer's messages; it passes those of batched tasks directly to their strategy.

    Celery's handler creates two promises per message, to acknowledge and to reject it, which ours rarely need.
    """
    strategies, call_soon, callbacks = consumer.strategies, consumer.call_soon_ack, consumer.on_task_message

    def on_message(message: Any) -> None:
        name = message.headers.get("task")
        strategy: Any = strategies.get(name) if isinstance(name, str) else None
        if isinstance(strategy, Strategy):
            ack, reject = partial(call_soon, message.ack_log_error), partial(call_soon, message.reject_log_error)
            strategy(message, None, ack, reject, callbacks)
        else:
            celery_handler(message)

    return on_message


class Strategy:
    """Turns the messages of one task into queued requests."""

    def __init__(self, task: Any, app: Any, consumer: Any, dispatcher: Dispatcher) -> None:
        self._task = task
        self._app = app
        self._consumer = consumer
        self._dispatcher = dispatcher
        self._context = get_context()
        self._utc = app.uses_utc_timezone()
        self._timezone = app.conf.timezone

    def __call__(self, message: Any, body: Any, ack: Any, reject: Any, callbacks: Any) -> None:
        """Handle one message: send task-received, then schedule it for its ETA or queue it for a batch."""
        if (fault := message.properties.get(FAULT)) is not None:
            self._end_with_fault(message, fault)
            return
        try:
            request = self._make_request(message, body, ack, reject)
        except Exception as error:  # noqa: BLE001 - no message may stop the worker
            refuse(message, error, self._dispatcher.complete_message, self._task.name)
            return
        if self._merge_duplicate(request):
            return
        if request.crashes:  # the worker that it ran in may not have sent the event
            request.send_retry_event(RETRY_REASON)
        request.send_received_event()  # before events of its end, which do not name the task
        if (request.expires or request.id in state.revoked) and request.revoked():
            return
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s received: %s", request.humaninfo(), request.argsrepr)
        if signals.task_received.receivers:
            signals.task_received.send(sender=self._consumer, request=request)
        if request.crashes >= MAX_CRASHES:
            self._dispatcher.dead_letter(request, WorkerLost())
            return
        if (due := request.due) is not None:
            # In Redis it needs no memory here, and does not depend on this worker or on the clock of its machine.
            self._dispatcher.schedule(request, due)
            return
        self._reserve(request, callbacks)

    def _make_request(self, message: Any, body: Any, ack: Any, reject: Any) -> BatchRequest:
        if body is not None:  # protocol 1
            body, headers, _, utc = proto1_to_proto2(message, body)
        else:
            body, headers, utc = decode_body(message), message.headers, self._utc
            if "args" in body:
                body, headers, _, utc = hybrid_to_proto2(message, body)
        _, _, embed = body
        validate(headers, embed)
        message.body = message._raw = message._decoded_cache = None  # noqa: SLF001 - three copies of the text
        return BatchRequest(
            message,
            log_text=self._context.settings.log_text,
            arrived=self._dispatcher.clock(),
            max_length=self._context.max_length,
            redis_now=self._context.inflight.clock.now,
            complete=self._dispatcher.complete_revoked,
            bulk=self._context.inflight.is_bulk(str(message.delivery_tag)),
            on_ack=ack,
            on_reject=reject,
            app=self._app,
            hostname=self._consumer.hostname,
            eventer=self._consumer.event_dispatcher,
            task=self._task,
            connection_errors=self._consumer.connection_errors,
            body=body,
            headers=headers,
            decoded=True,
            utc=utc,
            timezone=self._timezone,
        )

    def _merge_duplicate(self, request: BatchRequest) -> bool:
        """Return whether this worker has the request already; if so, the message is acknowledged with that one."""
        earlier = self._dispatcher.get(request.id)
        if earlier is None:
            return False
        earlier.merge_duplicate(request)
        return True

    def _reserve(self, request: BatchRequest, callbacks: Any) -> None:
        state.task_reserved(request)
        for callback in callbacks or ():
            callback(request)
        self._dispatcher.add(request)

    def _end_with_fault(self, message: Any, fault: HannerError) -> None:
        """Fail a message that was not decoded; if workers died that had just fetched it, it becomes a dead letter."""
        task_id = str(message.headers.get("id") or "")
        logger.error(
            "refused %s[%s] of %d bytes: %s", self._task.name, loggable(task_id), message.properties[SIZE], fault
        )
        tag, replies = str(message.delivery_tag), replies_of(message.headers)
        payload = TaskPayload(task_id, self._task.name, (), {}, tag=tag, crashes=MAX_TAKEOVERS, replies=replies)
        letter = make_dead_letter(payload, fault) if isinstance(fault, WorkerLost) else None
        self._dispatcher.complete_message(message, Completion(payload, Outcome.FAILED, fault, letter))


def patch_exit_detection(pool: Any) -> None:
    """Make Celery's pool detect at once that a process died; unpatched that can take five seconds.

    A process that exits closes its pipe to the parent just before it can be waited for. The parent wakes in between,
    finds that no process has exited, and only checks again when its timer expires.

    If several processes exit at once, the first event replaces all of them. A new process can get the file descriptor
    of one whose event is still to come in this turn of the event loop; that event says nothing about the new process.
    """
    processes = pool._pool  # noqa: SLF001 - the pool of processes inside Celery's

    def on_exit(hub: Any, process: Any) -> None:
        sentinel = process._sentinel_poll  # noqa: SLF001
        if sentinel is None or not select.select([sentinel], [], [], 0)[0]:
            return
        deadline = time.monotonic() + EXIT_TIMEOUT
        while process.exitcode is None and time.monotonic() < deadline:
            time.sleep(0.0005)
        type(processes)._event_process_exit(processes, hub, process)  # noqa: SLF001

    processes._event_process_exit = on_exit  # noqa: SLF001
