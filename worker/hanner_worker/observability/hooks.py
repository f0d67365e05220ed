"""The interface of observers of batches, which metrics and traces implement, and the record that they receive. No I/O.

Observers are called in the worker's parent, which handles every batch, also one whose process died.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hanner_worker.delivery.inflight import Completion
from hanner_worker.execution.batch import RequestResult


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One batch that has ended in the pool, or was lost there.

    Attributes:
        number: number of the batch, counted by its worker.
        requests: its BatchRequests, in the order in which they were sent to the process, without interrupted ones.
        started: Unix time at which they were sent.
        waits: seconds that each request had waited in this worker by then.
        runtime: seconds until all results were stored, or the loss was detected.
        results: one per request; empty if the batch was lost.
        stats: the cost of the model's runs, see BatchInference.answer.
        loss: why there is no report: process_died, time_limit or terminated; empty if there is one.
        retried: requests of a lost batch that are tried again.
        answered: requests of a lost batch whose results its process had stored.
        redis_started: `started` by the clock of Redis; None if that is not known.
        interrupted: requests that the process has not finished, because interactive ones were waiting.
    """

    number: int
    requests: Sequence[Any]  # this package does not import batching, which calls it
    started: float
    waits: Sequence[float]
    runtime: float
    results: Sequence[RequestResult] = ()
    stats: Mapping[str, float] = field(default_factory=dict)
    loss: str = ""
    retried: int = 0
    answered: int = 0
    redis_started: float | None = None
    interrupted: int = 0

    def total_waits(self) -> list[float]:
        """Return the seconds that each request had waited since it was sent; if unknown, those in this worker."""
        started = self.started if self.redis_started is None else self.redis_started
        return [
            # Any application can send requests.
            started - sent if (sent := request.sent_at) is not None and 0 < sent <= started - waited else waited
            for request, waited in zip(self.requests, self.waits, strict=True)
        ]


class Observer:
    """Ignores everything; subclasses override what they need.

    Called from the event loop. `on_requeue` and `on_dead_letters_deleted` are called from the heartbeat thread too, so
    they must be quick.
    """

    def on_batch(self, record: BatchRecord) -> None:
        """Record a batch that was reported or lost."""

    def on_completed(self, completions: Sequence[Completion]) -> None:
        """Record requests that the parent completed itself."""

    def on_requeue(self, reason: str, requests: int) -> None:
        """Record requests that were requeued: lease_expired, unacked_too_long, connection_lost."""

    def on_dead_letters_deleted(self, limit: str, letters: int) -> None:
        """Record dead letters that were deleted because of a limit: age, count."""
