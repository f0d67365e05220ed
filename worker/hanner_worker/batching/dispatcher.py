"""Sends batches to the pool and follows each to its end. Runs in the parent's event loop; never blocks on a process.

Nothing here is saved: what has not ended is not acknowledged, so Redis still has it.
"""

import logging
import pickle
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from celery.bootsteps import RUN
from redis.exceptions import RedisError

from hanner.errors import InvalidText
from hanner_worker.batching.consumer import channel_of
from hanner_worker.batching.flight import BatchRun, guarded
from hanner_worker.batching.lanes import PriorityScheduler
from hanner_worker.batching.request import BatchRequest
from hanner_worker.batching.scheduler import BatchLimits
from hanner_worker.delivery.channel import LOOK
from hanner_worker.delivery.results import Record, ResultStore
from hanner_worker.execution.batch import WorkerContext

if TYPE_CHECKING:
    from hanner_worker.observability.hooks import BatchRecord, Observer

logger = logging.getLogger(__name__)

BATCH_EVENT = "hanner-batch"
"""Event sent per finished batch: batch, requests, texts, repeated, cached, windows, tokens, padded_tokens (counts);
waited_ms of the oldest, tokenise_ms, infer_ms, decode_ms, total_ms until all was stored; model."""


class Dispatcher:
    """All requests of one worker that have not ended.

    It outlives the connection to the broker. After a reconnect what was waiting goes back to the queue, to come again
    to whoever is free; what runs goes on, for it is still held.

    Args:
        consumer: Celery's consumer.
        held: the model and the settings.
        clock: seconds, monotonic.
    """

    def __init__(self, consumer: Any, held: WorkerContext, clock: Callable[[], float] = time.monotonic) -> None:
        settings = held.settings
        self.clock = clock
        self._observers: Sequence[Observer] = consumer.hanner_observers
        self.store = ResultStore(held.app.backend, held.ledger, sleep=_no_wait, told=self._notify_completed)
        self._consumer = consumer
        self._connection = consumer.connection
        self._ledger = held.ledger
        self._backend = held.app.backend
        self._model = held.model
        self._policy = PriorityScheduler(
            BatchLimits(settings.batch_tokens, settings.batch_texts, settings.max_padding, settings.max_wait_ms / 1000)
        )
        self._requests: dict[str, BatchRequest] = {}  # all that wait or run
        self._flights: set[BatchRun] = set()
        self._serial = 0
        self._scheduled = False
        self._looking = False
        self._qos = self._connected(channel_of(consumer))

    def _connected(self, channel: Any) -> Any:
        """Tell a channel's account of what is held about this side, and return it."""
        channel.qos.busy, channel.qos.idle = self.busy, self.is_idle
        return channel.qos

    def is_idle(self) -> bool:
        """Tell whether a process waits for work."""
        return bool(self._consumer.pool.num_processes > len(self._flights))

    @property
    def waiting(self) -> int:
        """Requests that wait for a batch."""
        return len(self._policy)

    @property
    def flying(self) -> int:
        """Batches on their way; each has a process."""
        return len(self._flights)

    @property
    def at_hand(self) -> int:
        """Requests that wait or run."""
        return len(self._requests)

    def busy(self) -> set[str]:
        """Return the tags of messages whose requests a process works on."""
        return {tag for flight in self._flights for request in flight.requests for tag in request.tags}

    def rebuilt(self) -> None:
        """Go on with a new connection.

        Celery also rebuilds strategies on `pool_restart`, with the connection as it was; then all stays as it is.

        Raises:
            RedisError: what waited cannot be put back; the connection is lost again.
        """
        if self._consumer.connection is self._connection:
            return
        self._policy.clear()
        # On a lost connection Celery drops the jobs that no process has accepted, and calls nobody.
        self._flights = {flight for flight in self._flights if flight.is_in_pool()}
        self._requests = {request.id: request for flight in self._flights for request in flight.requests}
        channel = channel_of(self._consumer)
        self._qos = self._connected(channel)
        self._qos.adopt({request.tag: request.message for request in self._requests.values()})
        for request in self._requests.values():
            request.move(channel)
        self._notify_requeue("connection_lost", self._ledger.put_back(self._backend.client, self.busy()))
        for flight in self._flights:
            flight.doubtful = True
        self._connection = self._consumer.connection
        self._scheduled = self._looking = False
        self._schedule()
        self._look()

    def secure(self) -> None:
        """Keep the pool from forgetting batches that it has sent to a process."""
        for flight in self._flights:
            flight.secure()

    def hand_back(self) -> None:
        """Put back what no process works on: the worker stops. What fails here is done when the lease ends."""
        self._policy.clear()
        running = {request.id for flight in self._flights for request in flight.requests}
        for request in [request for request in self._requests.values() if request.id not in running]:
            self._forget(request)
        with suppress(RedisError, OSError):
            self._ledger.put_back(self._backend.client, self.busy())

    def add(self, request: BatchRequest) -> None:
        """Let a request wait for its batch; it leaves in this turn of the event loop if a process is idle."""
        self._requests[request.id] = request
        self._policy.add(request.item)
        self._schedule()

    def __contains__(self, request: BatchRequest) -> bool:
        return request.id in self._policy

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
            requests = [request for request in requests if not self._is_over(request)]
            if requests:
                self._send(requests)

    def _is_over(self, request: BatchRequest) -> bool:
        """Tell whether a request was revoked or has expired; then it has told everyone itself, and is forgotten."""
        try:
            over = bool(request.revoked() or request.over)
        except (RedisError, OSError) as error:
            logger.warning("the end of %s could not be told: %s", request.humaninfo(), type(error).__name__)
            self._forget(request)
            request.unstored()
            return True
        except Exception as error:  # noqa: BLE001 - no message may stop the worker
            self._discard(request, error)
            return True
        if over:
            del self._requests[request.id]
        return over

    def _send(self, requests: list[BatchRequest]) -> None:
        self._serial += 1
        try:
            works = pickle.dumps([request.work for request in requests], pickle.HIGHEST_PROTOCOL)
            flight = BatchRun(self, self._serial, requests, self.clock())
            started = flight.start(self._consumer.pool, self._ledger.owner, works)
        except Exception as error:  # noqa: BLE001 - arguments nested too deep, say; no message may stop the worker
            self._refuse(requests, error)
            return
        if started:
            self._flights.add(flight)
            self._qos.eager = True
            self._look()
        else:  # the pool is closing
            for request in requests:
                self._forget(request)
                request.unstored()

    def _refuse(self, requests: list[BatchRequest], error: Exception) -> None:
        """Find the request that cannot be handed to a process, and end it; the others wait once more, each alone."""
        if len(requests) > 1:
            for request in requests:
                self.again(request, "its batch could not be sent to a process", alone=True)
        else:
            self._discard(requests[0], error)

    def _discard(self, request: BatchRequest, error: Exception) -> None:
        # The error's message may quote the text, so only its type is logged.
        logger.error("a request that cannot be worked on was refused: %s", type(error).__name__)
        del self._requests[request.id]
        guarded(request.refuse, InvalidText("the message is no request; send [[argument], {}, {}] as JSON"), self.store)

    def _look(self) -> None:
        """Let the event loop turn often enough while no process is idle; each turn may look at the queue."""
        if not self._looking and not self.is_idle():
            self._looking = True
            self._consumer.hub.call_later(LOOK, self._looked)

    def _looked(self) -> None:
        self._looking = False
        self._look()

    def _forget(self, request: BatchRequest) -> None:
        del self._requests[request.id]
        request.leave()

    def announce(self, batch: dict[str, float]) -> None:
        """Send an event about a finished batch to whoever listens, as Flower does to those of tasks."""
        events = self._consumer.event_dispatcher
        if events is not None and events.enabled:
            events.send(BATCH_EVENT, model=self._model, **batch)

    def landed(self, flight: BatchRun) -> None:
        """Take note that a process is free again."""
        self._flights.discard(flight)
        self._schedule()

    def put_back(self, tags: Sequence[str]) -> None:
        """Put messages back into the queue, those of them that are still held."""
        for tag in tags:
            self._qos.reject(tag, requeue=True)
        self._notify_requeue("connection_lost", len(tags))

    def ended(self, requests: Iterable[BatchRequest]) -> None:
        """Take note that requests have ended."""
        for request in requests:
            self._requests.pop(request.id, None)

    def again(self, request: BatchRequest, reason: str, *, alone: bool) -> None:
        """Let a request that did not end wait once more, here or, if this worker stops, in the queue."""
        request.alone = request.alone or alone
        request.step_back(reason)
        if self._is_open():
            self._policy.add(request.item)
            self._schedule()
        else:
            del self._requests[request.id]
            request.unstored()

    def lost(self, request: BatchRequest) -> None:
        """Drop a request that another worker took over, unless it came once more to this one."""
        if request.follow():
            self.again(request, "another worker had taken it over", alone=False)
        else:
            self._forget(request)

    def count_deaths(self, requests: Sequence[BatchRequest]) -> None:
        """Count a death for each; what is not held any more is dropped."""
        try:
            counts = self._ledger.died(
                self._backend.client, [request.tag for request in requests], [request.id for request in requests]
            )
        except (RedisError, OSError) as error:
            logger.warning("deaths could not be noted in Redis: %s", type(error).__name__)
            counts = [request.deaths + 1 for request in requests]
        for request, count in zip(requests, counts, strict=True):
            request.deaths = count or request.deaths
            if not count:
                self.lost(request)

    def notify_batch(self, record: "BatchRecord") -> None:
        """Notify the observers of a batch that was reported or lost."""
        for observer in self._observers:
            observer.on_batch(record)

    def _notify_completed(self, records: Sequence[Record]) -> None:
        for observer in self._observers:
            observer.on_completed(records)

    def _notify_requeue(self, reason: str, requests: int) -> None:
        for observer in self._observers:
            observer.on_requeue(reason, requests)

    def note(self, texts: int, latency_ms: float) -> None:
        """Take note of a finished batch for the worker's figures."""
        self._consumer.hanner_throughput.add_batch(self.clock(), texts, latency_ms)


def _no_wait(seconds: float) -> None:
    """Do not wait: the parent's event loop must not stand still. What cannot be stored goes back to the queue."""
