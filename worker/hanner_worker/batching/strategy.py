"""Our `Task.Strategy`: what Celery's consumer calls for every message. With request.py, all that knows Celery inside.

Rate limits are ignored: they would hold single requests back from batches, and a worker is limited by its processes.
"""

import logging
from collections.abc import Callable
from typing import Any

from celery import signals
from celery.app.task import Context
from celery.concurrency.prefork import TaskPool
from celery.exceptions import ImproperlyConfigured
from celery.utils.time import timezone
from celery.worker import state
from celery.worker.strategy import hybrid_to_proto2, proto1_to_proto2
from kombu.asynchronous.timer import to_timestamp

from hanner.errors import InvalidText, WorkerLost
from hanner_worker.batching.consumer import patch_exit_detection
from hanner_worker.batching.dispatcher import Dispatcher
from hanner_worker.batching.message import check, payload
from hanner_worker.batching.request import MAX_DEATHS, BatchRequest
from hanner_worker.execution.batch import get_context

logger = logging.getLogger(__name__)

PREFORK_ONLY = (
    "hanner's worker needs Celery's prefork pool and event loop; start it without --pool, or with --pool prefork"
)

LOST = "what it ran in was lost; it is tried again"
"""What the events say of a request that comes again after it had begun."""

Handler = Callable[[Any, Any, Any, Any, Any], None]


def start(task: Any, app: Any, consumer: Any, **_: Any) -> Handler:
    """Return the handler of `task`'s messages; Celery calls this at start and after every reconnect.

    Raises:
        ImproperlyConfigured: the pool is none that batches can be sent to.
    """
    if consumer.hub is None or not isinstance(consumer.pool, TaskPool):
        raise ImproperlyConfigured(PREFORK_ONLY)
    return Strategy(task, app, consumer, _dispatcher(consumer))


def _dispatcher(consumer: Any) -> Dispatcher:
    """Return the worker's one dispatcher, told of this rebuild."""
    dispatcher: Dispatcher | None = getattr(consumer, "hanner_dispatcher", None)
    if dispatcher is None:
        patch_exit_detection(consumer.pool)
        dispatcher = consumer.hanner_dispatcher = Dispatcher(consumer, get_context())
    else:
        dispatcher.rebuilt()
    return dispatcher


class Strategy:
    """Turns the messages of one task into requests that wait for their batch.

    Attributes:
        batched: tells the consumer that this is no strategy of Celery's.
    """

    batched = True

    def __init__(self, task: Any, app: Any, consumer: Any, dispatcher: Dispatcher) -> None:
        self._task = task
        self._app = app
        self._consumer = consumer
        self._dispatcher = dispatcher
        self._held = get_context()
        self._utc = app.uses_utc_timezone()

    def __call__(self, message: Any, body: Any, ack: Any, reject: Any, callbacks: Any) -> None:
        """Receive one message: received event, then its ETA or the queue for a batch."""
        try:
            request = self._request(message, body, ack, reject)
        except Exception as error:  # noqa: BLE001 - no message may stop the worker
            self._refuse(message, error)
            return
        if self._is_repeated(request):
            return
        self._announce(request)  # before its end, which does not say what it was
        if (request.expires or request.id in state.revoked) and request.revoked():
            return
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s received: %s", request.humaninfo(), request.argsrepr)
        signals.task_received.send(sender=self._consumer, request=request)
        if request.deaths >= MAX_DEATHS:
            request.set_aside(WorkerLost(), self._dispatcher.store)
            return
        if request.eta and not self._is_due(request):
            return
        self._reserve(request, callbacks)

    def _request(self, message: Any, body: Any, ack: Any, reject: Any) -> BatchRequest:
        if body is not None:  # protocol 1
            body, headers, _, utc = proto1_to_proto2(message, body)
        else:
            body, headers, utc = payload(message), message.headers, self._utc
            if "args" in body:
                body, headers, _, utc = hybrid_to_proto2(message, body)
        _, _, embed = body
        check(headers, embed)
        return BatchRequest(
            message,
            log_text=self._held.settings.log_text,
            arrived=self._dispatcher.clock(),
            max_length=self._held.max_length,
            bulk=self._held.ledger.is_bulk(str(message.delivery_tag)),
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
        )

    def _is_repeated(self, request: BatchRequest) -> bool:
        """Recognise a request that this worker has at hand: it need not run again."""
        at_hand = self._dispatcher.known(request.id)
        if at_hand is not None:
            at_hand.adopt(request)
            return True
        return False

    def _announce(self, request: BatchRequest) -> None:
        if request.deaths:  # the worker that it ran in may have had no time to say so
            request.retried(LOST)
        request.send_event(
            "task-received",
            name=request.name,
            args=request.argsrepr,
            kwargs=request.kwargsrepr,
            root_id=request.root_id,
            parent_id=request.parent_id,
            retries=request.retries,
            eta=request.eta and request.eta.isoformat(),
            expires=request.expires and request.expires.isoformat(),
        )

    def _is_due(self, request: BatchRequest) -> bool:
        """Set a timer for a request that is to wait for its ETA."""
        try:
            zone = {} if request.utc else {"default_timezone": self._app.timezone}
            eta: float = to_timestamp(timezone.to_system(request.eta) if request.utc else request.eta, **zone)  # type: ignore[no-untyped-call]
        except (OverflowError, ValueError):
            return True  # no time a clock can show: now is as good
        self._consumer.qos.increment_eventually()  # it holds a place of the prefetch count while it waits
        request._eta_timer_entry = self._consumer.timer.call_at(  # noqa: SLF001 - Celery cancels it there
            eta, self._on_due, (request,), priority=6
        )
        state.task_scheduled(request)
        return False

    def _on_due(self, request: BatchRequest) -> None:
        self._consumer.qos.decrement_eventually()
        if not self._is_repeated(request):
            request.arrived = self._dispatcher.clock()
            self._reserve(request, ())

    def _reserve(self, request: BatchRequest, callbacks: Any) -> None:
        state.task_reserved(request)
        for callback in callbacks or ():
            callback(request)
        self._dispatcher.add(request)

    def _refuse(self, message: Any, error: Exception) -> None:
        """Fail a message that is no task message: its sender gets the named error if it left an id."""
        # The error's message may quote the body, so only its type is logged.
        logger.error("a message that is no %s request was refused: %s", self._task.name, type(error).__name__)
        headers = message.headers if isinstance(message.headers, dict) else {}
        if task_id := headers.get("id"):
            reason = InvalidText(f"the message is no {self._task.name} request; send [[argument], {{}}, {{}}] as JSON")
            context = Context(id=task_id, delivery_info={}, root_id=headers.get("root_id"))
            self._app.backend.mark_as_failure(task_id, reason, request=context)
        message.ack_log_error(logger, self._consumer.connection_errors)
