"""What is told of batches to whoever measures them: metrics, traces. Pure; by default nobody listens.

Everything is told in the parent, which learns of every batch, also of one whose process died.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hanner_worker.delivery.results import Record

if TYPE_CHECKING:
    from hanner_worker.batching.request import BatchRequest
    from hanner_worker.execution.batch import Outcome


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One batch that is through the pool, or was lost there.

    Attributes:
        number: of the batch, counted by its worker.
        requests: in the order in which they were sent to the process.
        left: Unix time at which they were.
        waits: seconds that each had waited in this worker by then.
        runtime: seconds until all results were stored, or the loss was noticed.
        outcomes: one per request; none if the batch was lost.
        figures: what the model's runs cost; see `Report`.
        lost: why there is no report: process_died, time_limit or terminated; empty if there is one.
        again: requests of a lost batch that are tried once more.
    """

    number: int
    requests: Sequence["BatchRequest"]
    left: float
    waits: Sequence[float]
    runtime: float
    outcomes: Sequence["Outcome"] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    lost: str = ""
    again: int = 0

    def total_waits(self) -> list[float]:
        """Return the seconds that each request had waited since it was sent; in this worker, if no more is known."""
        return [
            # The sender's clock may be ahead, and anybody may send.
            self.left - sent if (sent := request.sent_at) is not None and 0 < sent <= self.left - waited else waited
            for request, waited in zip(self.requests, self.waits, strict=True)
        ]


class Watch:
    """Listens to nothing. Called from the event loop, `again` also from the keeper's thread: be quick."""

    def batch(self, flown: BatchRecord) -> None:
        """Take note of a batch that was reported or lost."""

    def ended(self, records: Sequence[Record]) -> None:
        """Take note of requests that the parent ended itself."""

    def again(self, reason: str, requests: int) -> None:
        """Take note of requests that go back to the queue: lease_lapsed, held_too_long, connection_lost."""


class Watches(Watch):
    """Tells several.

    Args:
        watches: who is told.
    """

    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches

    def batch(self, flown: BatchRecord) -> None:
        """See `Watch`."""
        for watch in self._watches:
            watch.batch(flown)

    def ended(self, records: Sequence[Record]) -> None:
        """See `Watch`."""
        for watch in self._watches:
            watch.ended(records)

    def again(self, reason: str, requests: int) -> None:
        """See `Watch`."""
        for watch in self._watches:
            watch.again(reason, requests)
