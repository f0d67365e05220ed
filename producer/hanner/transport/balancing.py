"""The choice of an address for a request, if HANNER_BROKER_URL has several. Pure: the caller passes in the time.

Requests go where the fewest wait. An address that is down, or has no worker, or whose queue is full, is used only if
all are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hanner.queue.routing import Destination

FULL_FOR: Final = 1.0
"""Seconds for which a queue that refused a request is considered full."""


@dataclass(slots=True)
class AddressState:
    """The state of one address, as far as it is known.

    Attributes:
        is_down: The last attempt to use it failed, and no check has succeeded since.
        awaited: Number of requests there whose results this client awaits.
        lengths: By list, the number of waiting messages: the last known one, and those that were sent since.
        has_worker: By queue, whether a worker has a valid lease; a queue is missing if that is not known.
    """

    is_down: bool = False
    awaited: int = 0
    lengths: dict[str, int] = field(default_factory=dict)
    has_worker: dict[str, bool] = field(default_factory=dict)
    _full_until: dict[str, float] = field(default_factory=dict)

    def mark_full(self, destination: Destination, now: float) -> None:
        """Record that the queue refused a request."""
        self._full_until[destination.list] = now + FULL_FOR

    def is_full(self, destination: Destination, now: float) -> bool:
        """Return whether the queue refused a request within the last second."""
        return now < self._full_until.get(destination.list, now)

    def mark_up(self, lengths: Mapping[str, int], has_worker: Mapping[str, bool]) -> None:
        """Record a successful check."""
        self.is_down = False
        self.lengths.update(lengths)
        self.has_worker.update(has_worker)

    def count_sent(self, destination: Destination) -> None:
        """Count a request that is being sent there; the next known length replaces the count."""
        self.lengths[destination.list] = self.lengths.get(destination.list, 0) + 1


def choose(
    states: Sequence[AddressState],
    destination: Destination,
    *,
    now: float,
    turn: int,
    tried: frozenset[int] = frozenset(),
) -> int | None:
    """Return the number of the best address for a request; None if all have been tried.

    Args:
        states: What is known of the addresses.
        destination: The request's queue and list.
        now: Seconds of the clock of `AddressState.mark_full`.
        turn: A number that changes with each request: equal addresses take turns.
        tried: Numbers of addresses that did not accept the request.
    """

    def rank(number: int) -> tuple[bool, bool, bool, int, int]:
        state = states[number]
        return (
            state.is_down,
            not state.has_worker.get(destination.queue, True),
            state.is_full(destination, now),
            state.lengths.get(destination.list, 0) + state.awaited,
            (number - turn) % len(states),
        )

    return min((number for number in range(len(states)) if number not in tried), key=rank, default=None)
