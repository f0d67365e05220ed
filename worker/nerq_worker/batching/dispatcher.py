"""Sends batches to the pool and follows each to its end. Runs in the parent's event loop; never blocks on a process.

Nothing here is saved: what has not ended is not acknowledged, so the broker still has it.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, TimeLimitExceeded
from celery.bootsteps import RUN
from celery.worker import state

from nerq_worker.batching.consumer import channel_of, take_back
from nerq_worker.batching.job import Ending, Held, Report, run_batch
from nerq_worker.batching.policy import Limits, Policy
from nerq_worker.batching.request import MAX_DEATHS, BatchRequest, acknowledge_together

logger = logging.getLogger(__name__)

BATCH_EVENT = "nerq-batch"
"""Event sent per finished batch: batch, requests, texts, repeated, cached, windows, tokens, padded_tokens (counts);
waited_ms of the oldest, tokenise_ms, infer_ms, decode_ms, total_ms until all was stored; model."""


class Dispatcher:
    """All requests of one worker that have not ended.

    It outlives the connection to the broker. After a reconnect (a new epoch) the broker delivers again what was
    waiting, so that is forgotten; what runs goes on, and its redelivery only brings a fresh acknowledgement.

    Args:
        consumer: Celery's consumer.
        held: the model and the settings.
        clock: seconds, monotonic.
    """

    def __init__(self, consumer: Any, held: Held, clock: Callable[[], float] = time.monotonic) -> None:
        settings = held.settings
        self.epoch = 0
        self.clock = clock
        self._consumer = consumer
        self._connection = consumer.connection
        self._channel = channel_of(consumer)
        self._model = held.model
        self._policy = Policy(
            Limits(settings.batch_tokens, settings.batch_texts, settings.max_padding, settings.max_wait_ms / 1000)
        )
        self._requests: dict[str, BatchRequest] = {}  # all that wait or run
        self._flights: set[Flight] = set()
        self._serial = 0
        self._scheduled = False

    def rebuilt(self) -> None:
        """Begin a new epoch if the connection is a new one.

        Celery also rebuilds strategies on `pool_restart`, with the connection as it was; then all stays as it is.
        """
        if self._consumer.connection is self._connection:
            return
        self._policy.clear()
        # On a lost connection Celery drops the jobs that no process has accepted, and calls nobody.
        self._flights = {flight for flight in self._flights if flight.is_in_pool()}
        self._requests = {request.id: request for flight in self._flights for request in flight.requests}
        channel = channel_of(self._consumer)
        take_back(self._channel, channel, {request.message.delivery_tag for request in self._requests.values()})
        for request in self._requests.values():
            request.message.channel = channel  # to be acknowledged there
        self._channel, self._connection = channel, self._consumer.connection
        self.epoch += 1
        self._scheduled = False
        self._schedule()

    def add(self, request: BatchRequest) -> None:
        """Let a request wait for its batch; it leaves in this turn of the event loop if a process is idle."""
        self._requests[request.id] = request
        self._policy.add(request.item)
        self._schedule()

    def known(self, task_id: str) -> BatchRequest | None:
        """Return the request of this id that waits or runs."""
        return self._requests.get(task_id)

    def _schedule(self) -> None:
        # Not at once: what else is readable in this turn of the loop is to come along.
        if not self._scheduled:
            self._scheduled = True
            self._consumer.hub.call_soon(self._dispatch)

    def _is_open(self) -> bool:
        consumer = self._consumer
        return bool(
            consumer.blueprint.state == RUN and consumer.pool.active and consumer.connection is self._connection
        )

    def _dispatch(self) -> None:
        self._scheduled = False
        if not self._is_open():
            return
        while (free := self._consumer.pool.num_processes - len(self._flights)) > 0:
            items = self._policy.take(self.clock(), free)
            if not items:
                return
            requests = [self._requests[item.key] for item in items]
            for request in requests:
                if request.revoked():  # or expired; it has told everyone itself
                    del self._requests[request.id]
            requests = [request for request in requests if not request.over]
            if requests:
                self._send(requests)

    def _send(self, requests: list[BatchRequest]) -> None:
        self._serial += 1
        flight = Flight(self, self._serial, requests, self.clock())
        if flight.start(self._consumer.pool):
            self._flights.add(flight)
        else:  # the pool is closing; the broker has them still
            for request in requests:
                self._forget(request)

    def _forget(self, request: BatchRequest) -> None:
        del self._requests[request.id]
        request.leave()

    def announce(self, batch: dict[str, float]) -> None:
        """Send an event about a finished batch to whoever listens, as Flower does to those of tasks."""
        events = self._consumer.event_dispatcher
        if events is not None and events.enabled:
            events.send(BATCH_EVENT, model=self._model, **batch)

    def landed(self, flight: "Flight") -> None:
        """Take note that a process is free again."""
        self._flights.discard(flight)
        self._schedule()

    def ended(self, requests: Iterable[BatchRequest]) -> None:
        """Take note that requests have ended."""
        for request in requests:
            self._requests.pop(request.id, None)

    def again(self, request: BatchRequest, *, alone: bool) -> None:
        """Let a request that did not end wait once more, unless the broker will deliver it again anyway."""
        request.alone = request.alone or alone
        request.step_back()
        if request.epoch == self.epoch and self._is_open():
            self._policy.add(request.item)
        else:
            self._forget(request)


class Flight:
    """One batch on its way: a single job of the pool, its callbacks fanned out to the requests."""

    def __init__(self, dispatcher: Dispatcher, number: int, requests: list[BatchRequest], now: float) -> None:
        self.requests = requests
        self._dispatcher = dispatcher
        self._number = number
        self._waits = [now - request.arrived for request in requests]
        self._job: Any = None
        self._hard = self._limit(0, "time_limit")

    def _limit(self, position: int, default: str) -> float | None:
        """Return the smallest time limit of the requests, in seconds; position 0 is hard, 1 is soft."""
        limits = [(request.time_limits or (None, None))[position] for request in self.requests]
        limits = [limit or getattr(request.task, default) for limit, request in zip(limits, self.requests, strict=True)]
        return min((limit for limit in limits if limit), default=None)

    def start(self, pool: Any) -> bool:
        """Hand the batch to the pool; False if it takes none any more."""
        self._job = pool.apply_async(
            run_batch,
            args=([request.work for request in self.requests],),
            accept_callback=self._on_accepted,
            callback=self._on_report,
            error_callback=self._on_error,
            timeout_callback=self._on_timeout,
            soft_timeout=self._limit(1, "soft_time_limit"),
            timeout=self._hard,
        )
        return self._job is not None

    def is_in_pool(self) -> bool:
        """Tell whether the pool still answers for this batch."""
        return self._job._job in self._job._cache  # noqa: SLF001 - the pool says so nowhere else

    def _on_accepted(self, pid: int, accepted: float) -> None:
        for request in self.requests:
            _guarded(request.on_accepted, pid, accepted)

    def _on_timeout(self, soft: bool, timeout: float) -> None:  # noqa: FBT001 - the pool's signature
        if soft:
            logger.warning("soft time limit of %s s exceeded by batch %d", timeout, self._number)

    def _on_report(self, report: Report) -> None:
        self._dispatcher.landed(self)
        again = []
        ends = zip(self.requests, report.outcomes, strict=True)
        stored = [r for r, outcome in ends if not r.over and outcome.ending in (Ending.ANSWERED, Ending.FAILED)]
        _guarded(acknowledge_together, stored)
        for request, outcome, waited in zip(self.requests, report.outcomes, self._waits, strict=True):
            if request.over:
                continue
            if outcome.ending is Ending.ANSWERED:
                place = f"batch {self._number} of {len(self.requests)}, waited {waited * 1000:.1f} ms"
                _guarded(request.answered, f"{outcome.summary}, {place}", report.runtime)
            elif outcome.ending is Ending.FAILED:
                _guarded(request.failed, outcome.summary)
            elif outcome.ending is Ending.UNSTORED:
                _guarded(request.unstored)
            else:
                again.append(request)
        self._dispatcher.ended(request for request in self.requests if request not in again)
        for request in again:
            self._dispatcher.again(request, alone=True)
        _guarded(self._tell, report)

    def _on_error(self, einfo: Any) -> None:
        """End or repeat the requests of a batch whose process did not come back with a report."""
        self._dispatcher.landed(self)
        error = einfo.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        live = [request for request in self.requests if not request.over]
        self._dispatcher.ended(request for request in self.requests if request.over)
        logger.warning("batch %d of %d got no report: %r", self._number, len(self.requests), error)
        if state.should_terminate:  # a cold shutdown: all that is not acknowledged goes back to the queue
            return
        if isinstance(error, Terminated) and len(live) < len(self.requests):
            # The process was killed for one request; the others have done nothing.
            for request in live:
                self._dispatcher.again(request, alone=False)
        elif isinstance(error, TimeLimitExceeded):
            self._on_out_of_time(live)
        else:
            self._on_death(live)

    def _on_out_of_time(self, live: list[BatchRequest]) -> None:
        if len(self.requests) == 1:
            self._dispatcher.ended(live)
            for request in live:
                _guarded(request.on_timeout, False, self._hard)
        else:
            for request in live:
                self._dispatcher.again(request, alone=True)

    def _on_death(self, live: list[BatchRequest]) -> None:
        for request in live:
            request.deaths += 1
            if request.deaths >= MAX_DEATHS:
                self._dispatcher.ended([request])
                _guarded(request.set_aside)
            else:
                self._dispatcher.again(request, alone=True)

    def _tell(self, report: Report) -> None:
        """Describe the batch in one log line and one event; no word of its texts."""
        batch = self._described(report)
        logger.info(
            "batch %(batch)d: %(requests)d requests, %(texts)d texts (%(repeated)d repeated, %(cached)d cached), "
            "%(windows)d windows, %(tokens)d tokens, %(padded_tokens)d padded, "
            "waited up to %(waited_ms).1f ms, took %(total_ms).1f ms",
            batch,
        )
        if names := [name for request in self.requests if (name := request.caller)]:
            logger.info("batch %d is for requests %s", self._number, ", ".join(names))
        self._dispatcher.announce(batch)

    def _described(self, report: Report) -> dict[str, float]:
        figures = report.figures
        counts = {
            name: int(figures.get(name, 0)) for name in ("repeated", "cached", "windows", "tokens", "padded_tokens")
        }
        stages = {f"{stage}_ms": round(figures.get(stage, 0) * 1000, 3) for stage in ("tokenise", "infer", "decode")}
        return {
            "batch": self._number,
            "requests": len(self.requests),
            "texts": sum(request.size.texts for request in self.requests),
            **counts,
            "waited_ms": round(max(self._waits) * 1000, 3),
            **stages,
            "total_ms": round(report.runtime * 1000, 3),
        }


def _guarded(call: Callable[..., Any], *args: Any) -> None:
    """Call for one request; what goes wrong there must not keep the others of its batch from their end."""
    try:
        call(*args)
    except Exception:
        logger.exception("a request of the batch could not be told how it went")
