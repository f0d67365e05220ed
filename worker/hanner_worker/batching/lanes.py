"""Interactive requests before bulk ones. Pure, as the policy is that chooses within each."""

from dataclasses import dataclass, field

from hanner_worker.batching.scheduler import BatchLimits, BatchScheduler, QueuedRequest

BULK_EVERY = 8
"""Batches of interactive requests that may leave one after the other while bulk ones wait; then one of these leaves."""


@dataclass(slots=True)
class PriorityScheduler:
    """The requests that wait, in two lanes that share no batch.

    An interactive request is kept by bulk ones from no more than the batches that run already. Only where interactive
    ones alone are more than the processes can do, so that BULK_EVERY of their batches left in a row, a bulk one goes in
    between: bulk gets at least one batch in nine, and never starves.
    """

    limits: BatchLimits
    _interactive: BatchScheduler = field(init=False)
    _bulk: BatchScheduler = field(init=False)
    _turns: int = 0

    def __post_init__(self) -> None:
        self._interactive, self._bulk = BatchScheduler(self.limits), BatchScheduler(self.limits)

    def __len__(self) -> int:
        return len(self._interactive) + len(self._bulk)

    def __contains__(self, key: str) -> bool:
        return key in self._interactive or key in self._bulk

    def add(self, item: QueuedRequest) -> None:
        """Let `item` wait in its lane.

        Raises:
            ValueError: an item of this key waits already.
        """
        if item.key in self:
            raise ValueError(f"{item.key} waits already")
        (self._bulk if item.bulk else self._interactive).add(item)

    def clear(self) -> None:
        """Forget all that wait."""
        self._interactive.clear()
        self._bulk.clear()
        self._turns = 0

    def take(self, now: float, free: int = 1) -> list[QueuedRequest]:
        """Remove and return the next batch, as `BatchScheduler.take` does."""
        if free < 1:
            return []
        if len(self._interactive) and (self._turns < BULK_EVERY or not len(self._bulk)):
            self._turns = self._turns + 1 if len(self._bulk) else 0
            return self._interactive.take(now, free)
        self._turns = 0
        return self._bulk.take(now, free)
