"""Sends batches to the pool and handles how they end. Runs in the parent's event loop; never blocks on a process.

Nothing is saved here: a request that has not ended is not acknowledged, so its message is still in Redis.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery import states
from celery.bootsteps import RUN
from celery.worker import state
from redis.exceptions import RedisError

from hanner.contract import BATCH_EVENT
from hanner.errors import HannerError, InvalidText, TimedOut, WorkerLost
from hanner_worker.batching.request import MAX_CRASHES, BatchRequest
from hanner_worker.batching.scheduler import BATCH_OVERHEAD, BatchLimits, BatchScheduler, CostModel
from hanner_worker.context import WorkerContext
from hanner_worker.delivery.channel import POLL_INTERVAL
from hanner_worker.delivery.completion import Completer
from hanner_worker.delivery.inflight import Completion, Outcome
from hanner_worker.delivery.results import decode_state
from hanner_worker.execution.batch import BatchReport, RequestResult, run_batch
from hanner_worker.observability.hooks import BatchRecord, Observer
from hanner_worker.payload import dump_payloads

logger = logging.getLogger(__name__)

SCHEDULE_RETRY = 1.0
"""Seconds after which messages are moved to the schedule again, if Redis refused."""
BULK_POLL_INTERVAL = 0.02
"""Seconds between polls while a bulk batch runs and no process is idle: an interactive request interrupts it."""
PARTS_PER_TARGET = 4
"""A bulk batch can be interrupted this many times within HANNER_BATCH_MS."""
REQUEUE_PAUSE = 1.0
"""Seconds before a request is requeued because the parent could not store its end: Redis may be full for a while."""
_LOSSES = (WorkerLostError, Terminated, TimeLimitExceeded)
"""Billiard's errors of lost processes. The messages of other errors may quote a text."""
_ENDED = frozenset({Outcome.OK, Outcome.FAILED, Outcome.ALREADY_ANSWERED})
_NOT_ENDED = frozenset({Outcome.RETRY_ISOLATED, Outcome.INTERRUPTED, Outcome.FENCED})


class Dispatcher:
    """All requests of one worker that have not ended.

    It outlives the connection to the broker. After a reconnect the queued requests are requeued in Redis, so that any
    idle worker may fetch them; running batches continue, because their messages are still in flight.

    Args:
        consumer: Celery's consumer.
        context: the model and the settings.
        clock: seconds, monotonic.
    """

    def __init__(self, consumer: Any, context: WorkerContext, clock: Callable[[], float] = time.monotonic) -> None:
        settings = context.settings
        self.clock = clock
        self._observers: Sequence[Observer] = consumer.hanner_observers
        self._consumer = consumer
        self._connection = consumer.connection
        self._inflight = context.inflight
        self._backend = context.app.backend
        self._completer = Completer(context.app, context.inflight, sleep=None)
        self._model = context.model
        self._cost = _first_cost(context.recogniser)
        limits = BatchLimits(settings.batch_tokens, settings.batch_texts, settings.batch_ms / 1000)
        self._scheduler = BatchScheduler(limits, self._cost)
        self._interactive_waits = context.interactive_waits
        self._requests: dict[str, BatchRequest] = {}  # queued or running
        self._runs: set[BatchRun] = set()
        self._last_number = 0
        self._dispatch_scheduled = False
        self._poll_scheduled = False
        self._waiting: list[tuple[BatchRequest, float]] = []  # to be moved to the schedule
        self._qos = self._attach(channel_of(consumer))

    def _attach(self, channel: Any) -> Any:
        """Connect a channel's QoS to this dispatcher, and return it."""
        channel.qos.running_tags, channel.qos.has_idle_process = self.running_tags, self.has_idle_process
        return channel.qos

    def redis_now(self) -> float:
        """Return the time of Redis in Unix seconds."""
        return self._inflight.clock.now()

    def has_idle_process(self) -> bool:
        """Return whether a process is idle."""
        return bool(self._consumer.pool.num_processes > len(self._runs))

    @property
    def queued(self) -> int:
        """Requests that are queued for a batch."""
        return len(self._scheduler)

    @property
    def running_batches(self) -> int:
        """Batches that were sent to a process and have not ended."""
        return len(self._runs)

    @property
    def requests(self) -> int:
        """Requests that are queued or running."""
        return len(self._requests)

    def work_seconds(self) -> dict[bool, float]:
        """Return how long one process is expected to take for the bulk (True) and interactive (False) requests here.

        The heartbeat thread calls this too.
        """
        tokens = {False: 0, True: 0}
        for request in tuple(self._requests.values()):
            tokens[request.bulk] += request.size.tokens
        return {bulk: self._cost.seconds(count) for bulk, count in tokens.items()}

    def running_tags(self) -> set[str]:
        """Return the tags of the messages whose requests a process works on."""
        return {tag for run in self._runs for request in run.requests for tag in request.tags}

    def on_reconnect(self) -> None:
        """Continue with a new connection.

        Celery also rebuilds strategies on `pool_restart`, with the same connection; then nothing changes.

        Raises:
            RedisError: the queued requests cannot be requeued; the connection is lost again.
        """
        if self._consumer.connection is self._connection:
            return
        self._scheduler.clear()
        # On a lost connection Celery drops the jobs that no process has accepted, without a callback.
        self._runs = {run for run in self._runs if run.is_in_pool()}
        self._requests = {request.id: request for run in self._runs for request in run.requests}
        channel = channel_of(self._consumer)
        self._qos = self._attach(channel)
        for request in self._requests.values():
            self._qos.append(request.message, request.tag)
            self._qos.stop_waiting([request.tag])
            request.set_channel(channel)
        self._notify_requeue("connection_lost", self._inflight.requeue(self._backend.client, self.running_tags()))
        for run in self._runs:
            run.requeue_after_reconnect = True
        self._connection = self._consumer.connection
        self._dispatch_scheduled = self._poll_scheduled = False
        self._waiting = []
        self._schedule_dispatch()
        self._schedule_poll()

    def mark_accepted(self) -> None:
        """Keep the pool from dropping batches that it has sent to a process."""
        for run in self._runs:
            run.mark_accepted()

    def requeue_pending(self) -> None:
        """Requeue all requests that no process works on, because the worker stops. If it fails, `shutdown` does it."""
        self._scheduler.clear()
        running = {request.id for run in self._runs for request in run.requests}
        for request in [request for request in self._requests.values() if request.id not in running]:
            self._drop(request)
        with suppress(RedisError, OSError):
            self._inflight.requeue(self._backend.client, self.running_tags())

    def add(self, request: BatchRequest) -> None:
        """Queue a request; it is sent in this turn of the event loop if a process is idle."""
        self._requests[request.id] = request
        self._scheduler.add(request.queued)
        self._schedule_dispatch()

    def schedule(self, request: BatchRequest, due: float) -> None:
        """Move a request to the schedule in Redis until `due`, with the others of this turn of the event loop."""
        self._waiting.append((request, due))
        if len(self._waiting) == 1:
            self._consumer.hub.call_soon(self._flush_schedule)

    def _flush_schedule(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting or not self._is_open():  # they are requeued when the worker stops or reconnects
            return
        messages = [(request.tag, request.id, due) for request, due in waiting]
        try:
            unfinished = {request.tag for request, _ in waiting if request.has_canvas}
            outcomes = self._inflight.schedule(self._backend, messages, unfinished)
        except (RedisError, OSError) as error:
            logger.warning("%d requests could not be scheduled: %s", len(waiting), type(error).__name__)
            self._waiting = waiting
            self._consumer.hub.call_later(SCHEDULE_RETRY, self._flush_schedule)
            return
        channel_of(self._consumer).poll_at(min(due for _, due in waiting))
        for (request, _), (outcome, state_) in zip(waiting, outcomes, strict=True):
            if outcome is Outcome.ALREADY_ANSWERED and request.has_canvas:
                self._add_answered(request)
                continue
            request.mark_acknowledged()
            if outcome is Outcome.ALREADY_ANSWERED:
                call_logged(request.ended_before, state_)

    def _add_answered(self, request: BatchRequest) -> None:
        """Queue a request that has a result: a process finds it, counts its parts of chords, and acknowledges."""
        if (earlier := self.get(request.id)) is not None:
            earlier.merge_duplicate(request)
        else:
            state.task_reserved(request)
            self.add(request)

    def get(self, task_id: str) -> BatchRequest | None:
        """Return the queued or running request with this id."""
        return self._requests.get(task_id)

    def complete(self, completion: Completion) -> Outcome:
        """End one request from the parent, which tries once because it must not block, and notify the observers."""
        (outcome,) = self._completer.complete([completion])
        if outcome in _ENDED:
            for observer in self._observers:
                observer.on_completed([completion])
        return outcome

    def complete_revoked(self, completion: Completion) -> tuple[Outcome, str]:
        """End a request that was revoked or has expired.

        Returns:
            Its outcome, and Celery's state of the result that is stored now; empty if none is, or it is not an answer.
        """
        (outcome,) = self._completer.complete([completion])
        if outcome is Outcome.FAILED:
            return outcome, states.REVOKED
        if outcome is Outcome.NOT_STORED:
            return outcome, ""
        document = self._backend.client.get(self._backend.get_key_for_task(completion.request.id))
        state_ = "" if document is None else decode_state(self._backend, document)
        return outcome, state_ if state_ in states.READY_STATES else ""

    def complete_message(self, message: Any, completion: Completion) -> bool:
        """End a message that is not a request of this worker.

        Returns:
            False if Redis did not store its end; then the message is requeued after a pause.
        """
        if self.complete(completion) is Outcome.NOT_STORED:
            self._consumer.hub.call_later(REQUEUE_PAUSE, _requeue, message)
            return False
        message._state = "ACK"  # noqa: SLF001 - Redis no longer has it in flight
        message.channel.qos.drop([completion.request.tag])
        return True

    def dead_letter(self, request: BatchRequest, error: HannerError) -> None:
        """End a request as a dead letter; if Redis does not store that, requeue it after a pause."""
        self._end(request, request.dead_letter, error)

    def _end(
        self,
        request: BatchRequest,
        end: Callable[[HannerError, Callable[[Completion], Outcome]], bool],
        error: HannerError,
    ) -> None:
        try:
            ended = end(error, self.complete)
        except Exception:
            logger.exception("the end of %s could not be stored; it is requeued", request.humaninfo())
            ended = False
        if not ended:
            self._consumer.hub.call_later(REQUEUE_PAUSE, request.requeue)

    def _schedule_dispatch(self) -> None:
        # Not at once: requests that are read in the same turn of the loop may share the batch.
        if not self._dispatch_scheduled:
            self._dispatch_scheduled = True
            self._consumer.hub.call_soon(self._dispatch)

    def _is_open(self) -> bool:
        consumer = self._consumer
        return bool(
            consumer.blueprint.state == RUN and consumer.pool.active and consumer.connection is self._connection
        )

    def _dispatch(self) -> None:
        self._dispatch_scheduled = False
        if not self._is_open():
            return
        processes = self._consumer.pool.num_processes
        while queued := self._scheduler.take(processes - len(self._runs), processes):
            requests = [self._requests[item.key] for item in queued]
            requests = [request for request in requests if not self._has_ended(request)]
            if requests:
                self._send(requests)
        self._interactive_waits.set(self._scheduler.interactive_waits())

    def _has_ended(self, request: BatchRequest) -> bool:
        """Return whether a request was revoked or has expired; if so it has ended itself, and is removed."""
        try:
            ended = bool(request.revoked() or request.cancelled)
        except (RedisError, OSError) as error:
            logger.warning("the end of %s could not be stored: %s", request.humaninfo(), type(error).__name__)
            self._drop(request)
            request.requeue()
            return True
        except Exception as error:  # noqa: BLE001 - no message may stop the worker
            self._refuse(request, error)
            return True
        if ended:
            del self._requests[request.id]
        return ended

    def _send(self, requests: list[BatchRequest]) -> None:
        self._last_number += 1
        try:
            payloads = dump_payloads(request.payload for request in requests)
            run = BatchRun(self, self._last_number, requests, self.clock())
            part_seconds = self._scheduler.limits.seconds / PARTS_PER_TARGET
            part_tokens = max(1, self._cost.tokens(part_seconds)) if run.bulk else 0
            started = run.start(self._consumer.pool, self._inflight.worker_id, payloads, part_tokens)
        except Exception as error:  # noqa: BLE001 - such as arguments nested too deep; no message may stop the worker
            self._on_send_error(requests, error)
            return
        if started:
            self._runs.add(run)
            self._qos.stop_waiting(tag for request in requests for tag in request.tags)
            self._qos.poll_soon = True
            self._schedule_poll()
        else:  # the pool is closing
            for request in requests:
                self._drop(request)
                request.requeue()

    def _on_send_error(self, requests: list[BatchRequest], error: Exception) -> None:
        """Refuse the request that cannot be sent to a process; to find it, retry all of its batch alone."""
        if len(requests) > 1:
            for request in requests:
                self.retry(request, "its batch could not be sent to a process", isolated=True)
        else:
            self._refuse(requests[0], error)

    def _refuse(self, request: BatchRequest, error: Exception) -> None:
        # The error's message may quote the text, so only its type is logged.
        logger.error("refused a request that cannot be sent to a process: %s", type(error).__name__)
        del self._requests[request.id]
        reason = InvalidText("the message is not a request; send [[argument], {}, {}] as JSON")
        self._end(request, request.refuse, reason)

    def _schedule_poll(self) -> None:
        """Wake the event loop regularly while no process is idle; each turn may poll the queue."""
        if not self._poll_scheduled and not self.has_idle_process():
            self._poll_scheduled = True
            interval = BULK_POLL_INTERVAL if self._runs_bulk() else POLL_INTERVAL
            self._consumer.hub.call_later(interval, self._on_poll_due)

    def _runs_bulk(self) -> bool:
        return any(run.bulk for run in self._runs)

    def _on_poll_due(self) -> None:
        self._poll_scheduled = False
        self._qos.poll_soon = self._qos.poll_soon or self._runs_bulk()
        self._schedule_poll()

    def _drop(self, request: BatchRequest) -> None:
        del self._requests[request.id]
        request.drop()

    def send_batch_event(self, batch: dict[str, float]) -> None:
        """Send the event of a finished batch."""
        events = self._consumer.event_dispatcher
        if events is not None and events.enabled:
            events.send(BATCH_EVENT, model=self._model, **batch)

    def batch_finished(self, run: "BatchRun") -> None:
        """Record that the process of a batch is idle again."""
        self._runs.discard(run)
        run.release()
        self._schedule_dispatch()

    def requeue(self, tags: Sequence[str]) -> None:
        """Requeue those of these messages that are still in flight."""
        for tag in tags:
            self._qos.reject(tag, requeue=True)
        self._notify_requeue("connection_lost", len(tags))

    def remove(self, requests: Iterable[BatchRequest]) -> None:
        """Remove requests that have ended."""
        for request in requests:
            self._requests.pop(request.id, None)

    def retry(self, request: BatchRequest, reason: str, *, isolated: bool) -> None:
        """Queue a request that has not ended again, here or, if this worker stops, in Redis."""
        request.isolated = request.isolated or isolated
        request.reset_to_pending(reason)
        self._queue_again(request)

    def resume(self, request: BatchRequest, progress: bytes) -> None:
        """Queue a request again that was interrupted; a process continues it."""
        request.reset_to_pending("", progress)
        self._queue_again(request)

    def _queue_again(self, request: BatchRequest) -> None:
        if self._is_open():
            self._scheduler.add(request.queued)
            self._schedule_dispatch()
        else:
            del self._requests[request.id]
            request.requeue()

    def on_fenced(self, request: BatchRequest) -> None:
        """Drop a request that this worker no longer owns, unless it has fetched a duplicate of its message."""
        if request.switch_to_duplicate():
            self.retry(request, "another worker took it over", isolated=False)
        else:
            self._drop(request)

    def end_answered(self, requests: Sequence[BatchRequest]) -> list[BatchRequest]:
        """Send the events of the requests that their process ended before it was lost; return the others."""
        tags, task_ids = [request.tag for request in requests], [request.id for request in requests]
        try:
            ended = self._inflight.ended_states(self._backend, tags, task_ids)
        except (RedisError, OSError) as error:
            logger.warning("the results of a lost process could not be read: %s", type(error).__name__)
            return list(requests)
        left = []
        for request, state_ in zip(requests, ended, strict=True):
            if state_:
                request.mark_acknowledged()
                self.remove([request])
                call_logged(request.ended_before, state_)
            else:
                left.append(request)
        return left

    def on_crash(self, requests: Sequence[BatchRequest], error: HannerError) -> None:
        """Retry each request of a lost batch alone; those with too many crashes become dead letters."""
        self._count_crashes(requests)
        for request in requests:
            if self.get(request.id) is not request or request.id in self._scheduler:
                continue  # dropped, or queued again already
            if request.crashes >= MAX_CRASHES:
                self.remove([request])
                self.dead_letter(request, error)
            else:
                self.retry(request, f"its process died ({error.code})", isolated=True)

    def _count_crashes(self, requests: Sequence[BatchRequest]) -> None:
        """Count a crash for each request; those that this worker no longer owns are dropped."""
        tags, task_ids = [request.tag for request in requests], [request.id for request in requests]
        counts: list[int | None]
        try:
            counts = self._inflight.count_crashes(self._backend.client, tags, task_ids)
        except (RedisError, OSError) as error:
            logger.warning("crashes could not be counted in Redis: %s", type(error).__name__)
            counts = [request.crashes + 1 for request in requests]
        for request, count in zip(requests, counts, strict=True):
            if count is None:
                self.on_fenced(request)
            else:
                request.crashes = count

    def notify_batch(self, record: BatchRecord) -> None:
        """Notify the observers of a batch that was reported or lost."""
        for observer in self._observers:
            observer.on_batch(record)

    def _notify_requeue(self, reason: str, requests: int) -> None:
        for observer in self._observers:
            observer.on_requeue(reason, requests)

    def record_throughput(self, texts: int, latency_ms: float, seconds: float, *, bulk: bool) -> None:
        """Add a finished batch, which took `seconds`, to the worker's throughput."""
        throughput = self._consumer.hanner_throughput
        throughput.add_batch(self.clock(), texts, latency_ms, seconds, bulk=bulk)
        throughput.add_cost(texts, seconds - self._cost.per_batch)

    def learn_cost(self, tokens: int, seconds: float) -> None:
        """Adjust the size of the next batches to a finished one of `tokens` estimated tokens."""
        self._cost.learn(tokens, seconds)


class BatchRun:
    """One batch in the pool: a single job, whose callbacks end its requests.

    Attributes:
        requests: the requests, in order.
        bulk: they have the lower priority.
        requeue_after_reconnect: the connection was lost in the meantime. A Redis that lost its last second may have
            restored messages that were acknowledged, so they are requeued when the report is received.
    """

    def __init__(self, dispatcher: Dispatcher, number: int, requests: list[BatchRequest], now: float) -> None:
        self.requests = requests
        self.bulk = requests[0].bulk
        self.requeue_after_reconnect = False
        self._dispatcher = dispatcher
        self._number = number
        self._started = time.time()
        self._redis_started = dispatcher.redis_now()
        self._waits = [now - request.arrived for request in requests]
        self._job: Any = None
        self._hard_limit = self._time_limit(0, "time_limit")
        for request, waited in zip(requests, self._waits, strict=True):
            request.assign_batch(number, len(requests), waited)

    def _time_limit(self, position: int, default: str) -> float | None:
        """Return the smallest time limit of the requests, in seconds; position 0 is hard, 1 is soft."""
        limits = [(request.time_limits or (None, None))[position] for request in self.requests]
        limits = [limit or getattr(request.task, default) for limit, request in zip(limits, self.requests, strict=True)]
        return min((limit for limit in limits if limit), default=None)

    def start(self, pool: Any, worker_id: str, payloads: bytes, part_tokens: int) -> bool:
        """Send the batch to the pool, with the arguments of `run_batch`; return False if the pool is closing."""
        self._job = pool.apply_async(
            run_batch,
            args=(worker_id, payloads, part_tokens),
            accept_callback=self._on_accepted,
            callback=self._on_report,
            error_callback=self._on_error,
            timeout_callback=self._on_timeout,
            soft_timeout=self._time_limit(1, "soft_time_limit"),
            timeout=self._hard_limit,
        )
        return self._job is not None

    def mark_accepted(self) -> None:
        """Make the pool count the batch as accepted if it is being sent to a process.

        Otherwise the pool drops the batch if the connection is lost or the worker stops. The process still runs it and
        then waits 30 s for its report to be read.
        """
        if self._job._write_to is not None:  # noqa: SLF001 - the process, from the first byte on
            self._job._accepted = True  # noqa: SLF001

    def release(self) -> None:
        """Drop the pool's job, whose callbacks refer to this batch: texts must not wait for a garbage collection."""
        self._job = None

    def is_in_pool(self) -> bool:
        """Return whether the pool will call back for this batch."""
        return self._job._job in self._job._cache  # noqa: SLF001 - the pool has no public name for it

    def _on_accepted(self, pid: int, accepted: float) -> None:
        for request in self.requests:
            call_logged(request.on_accepted, pid, accepted)

    def _on_timeout(self, soft: bool, timeout: float) -> None:  # noqa: FBT001 - the pool's signature
        if soft:
            logger.warning("soft time limit of %s s exceeded by batch %d", timeout, self._number)

    def _on_report(self, report: BatchReport) -> None:
        self._dispatcher.batch_finished(self)
        results = [pair for pair in zip(self.requests, report.results, strict=True) if not pair[0].cancelled]
        for request, result in results:
            self._end(request, result, report.runtime)
        kept = [request for request, result in results if result.outcome in _NOT_ENDED]
        self._dispatcher.remove(request for request in self.requests if request not in kept)
        if fenced := sum(result.outcome is Outcome.FENCED for _, result in results):
            logger.warning("batch %d: %d requests belong to another worker now", self._number, fenced)
        for request, result in results:
            self._continue(request, result)
        if self.requeue_after_reconnect:
            queued = {Outcome.RETRY_ISOLATED, Outcome.INTERRUPTED}
            sent = [request for request, result in results if result.outcome not in queued]
            self._dispatcher.requeue([tag for request in sent for tag in request.tags])
        self._learn_cost(report)
        call_logged(self._describe, report)

    def _continue(self, request: BatchRequest, result: RequestResult) -> None:
        """Queue a request again that has not ended, or drop it if another worker has it."""
        if result.outcome is Outcome.RETRY_ISOLATED:
            self._dispatcher.retry(request, "the soft time limit of its batch passed", isolated=True)
        elif result.outcome is Outcome.INTERRUPTED:
            self._dispatcher.resume(request, result.progress)
        elif result.outcome is Outcome.FENCED:
            self._dispatcher.on_fenced(request)

    def _learn_cost(self, report: BatchReport) -> None:
        """Adjust the size of the next batches, if the model ran all texts of this one."""
        if report.stats.get("tokens") and not any(request.progress for request in self.requests):
            self._dispatcher.learn_cost(sum(request.size.tokens for request in self.requests), report.runtime)

    def _end(self, request: BatchRequest, result: RequestResult, runtime: float) -> None:
        """Send the events of one request, if it has ended."""
        outcome = result.outcome
        if outcome in _ENDED:
            request.mark_acknowledged()
            if outcome is Outcome.ALREADY_ANSWERED:
                call_logged(request.ended_before, result.code or states.SUCCESS)
            elif result.code:
                call_logged(request.failed, result.summary)
            else:
                call_logged(request.succeeded, result.summary, runtime)
        elif outcome is Outcome.NOT_STORED:
            call_logged(request.requeue)

    def _on_error(self, einfo: Any) -> None:
        """End or retry the requests of a batch whose process has sent no report."""
        self._dispatcher.batch_finished(self)
        error = einfo.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        live = [request for request in self.requests if not request.cancelled]
        self._dispatcher.remove(request for request in self.requests if request.cancelled)
        logger.warning(
            "the process of batch %d (%d requests) ended without a report: %s",
            self._number,
            len(self.requests),
            repr(error) if isinstance(error, _LOSSES) else type(error).__name__,
        )
        unanswered = self._dispatcher.end_answered(live)
        if state.should_terminate:  # a cold shutdown: all that is not acknowledged is requeued
            return
        for_one = isinstance(error, Terminated) and len(live) < len(self.requests)
        loss = "terminated" if for_one else "time_limit" if isinstance(error, TimeLimitExceeded) else "process_died"
        self._retry_lost(unanswered, loss)
        record = BatchRecord(
            self._number,
            self.requests,
            self._started,
            self._waits,
            time.time() - self._started,
            loss=loss,
            retried=sum(self._dispatcher.get(request.id) is request for request in unanswered),
            answered=len(live) - len(unanswered),
            redis_started=self._redis_started,
        )
        call_logged(self._dispatcher.notify_batch, record)

    def _retry_lost(self, requests: Sequence[BatchRequest], loss: str) -> None:
        """Retry the requests of a lost process, or end those that were lost too often; `loss` as in BatchRecord."""
        if loss == "terminated":  # for one request; the others did nothing wrong
            for request in requests:
                self._dispatcher.retry(request, "its process was ended for another request", isolated=False)
        elif loss == "time_limit":
            reason = (
                f"the time limit of {self._hard_limit} s passed each time the text was tried; "
                "raise the limit, or shorten the text"
            )
            self._dispatcher.on_crash(requests, TimedOut(reason))
        else:
            self._dispatcher.on_crash(requests, WorkerLost())

    def _describe(self, report: BatchReport) -> None:
        """Describe the batch in one log line, one event and one record, without the texts."""
        parts = zip(self.requests, self._waits, report.results, strict=True)
        ended = [part for part in parts if part[2].outcome is not Outcome.INTERRUPTED]
        requests = [request for request, _, _ in ended]
        batch = self._event_fields(report, requests)
        logger.debug(
            "batch %(batch)d: %(requests)d requests, %(texts)d texts (%(repeated)d repeated, %(cached)d cached), "
            "%(windows)d windows, %(tokens)d tokens (%(padded_tokens)d with padding), "
            "waited up to %(waited_ms).1f ms, took %(total_ms).1f ms",
            batch,
        )
        interrupted = len(self.requests) - len(ended)
        if interrupted:
            logger.debug("batch %d: %d more requests were interrupted and continue later", self._number, interrupted)
        if names := [name for request in requests if (name := request.caller)]:
            logger.debug("batch %d is for requests %s", self._number, ", ".join(names))
        self._dispatcher.send_batch_event(batch)
        latency = batch["waited_ms"] + batch["total_ms"]
        self._dispatcher.record_throughput(int(batch["texts"]), latency, report.runtime, bulk=self.bulk)
        self._dispatcher.notify_batch(
            BatchRecord(
                self._number,
                requests,
                self._started,
                [wait for _, wait, _ in ended],
                report.runtime,
                [result for _, _, result in ended],
                report.stats,
                redis_started=self._redis_started,
                interrupted=interrupted,
            )
        )

    def _event_fields(self, report: BatchReport, requests: Sequence[BatchRequest]) -> dict[str, float]:
        stats = report.stats
        counts = {
            name: int(stats.get(name, 0)) for name in ("repeated", "cached", "windows", "tokens", "padded_tokens")
        }
        stages = {f"{stage}_ms": round(stats.get(stage, 0) * 1000, 3) for stage in ("tokenise", "infer", "decode")}
        return {
            "batch": self._number,
            "requests": len(requests),
            "texts": sum(request.size.texts for request in requests),
            **counts,
            "waited_ms": round(max(self._waits) * 1000, 3),
            **stages,
            "total_ms": round(report.runtime * 1000, 3),
        }


def _first_cost(recogniser: Any) -> CostModel:
    """Return the expected cost of batches before any has run, from the text that the model ran after loading."""
    warm_up = getattr(recogniser, "warm_up", None)
    if warm_up is None:
        return CostModel()
    return CostModel(per_token=warm_up.seconds / (warm_up.tokens + BATCH_OVERHEAD))


def channel_of(consumer: Any) -> Any:
    """Return the channel that the consumer's messages come from."""
    return consumer.connection.default_channel


def call_logged(call: Callable[..., Any], *args: Any) -> None:
    """Call for one request and log an exception, so that it does not affect the other requests of the batch."""
    try:
        call(*args)
    except Exception:
        logger.exception("could not send the events of a finished request")


def _requeue(message: Any) -> None:
    """Requeue a message, unless its connection was lost: then it was requeued already."""
    if not message.channel.closed:
        message.requeue()
