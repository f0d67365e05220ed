"""Interactive requests before bulk ones. Pure, as the policy is that chooses within each."""

from dataclasses import dataclass, field

from hanner_worker.batching.scheduler import Item, Limits, Policy

TURNS = 8
"""Batches of interactive requests that may leave one after the other while bulk ones wait; then one of these leaves."""


@dataclass(slots=True)
class Lanes:
    """The requests that wait, in two lanes that share no batch.

    An interactive request is kept by bulk ones from no more than the batches that run already. Only where interactive
    ones alone are more than the processes can do, so that TURNS batches of them left in a row, a bulk batch goes in
    between: bulk gets at least one batch in nine, and never starves.
    """

    limits: Limits
    _interactive: Policy = field(init=False)
    _bulk: Policy = field(init=False)
    _turns: int = 0

    def __post_init__(self) -> None:
        self._interactive, self._bulk = Policy(self.limits), Policy(self.limits)

    def __len__(self) -> int:
        return len(self._interactive) + len(self._bulk)

    def __contains__(self, key: str) -> bool:
        return key in self._interactive or key in self._bulk

    def add(self, item: Item) -> None:
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

    def take(self, now: float, free: int = 1) -> list[Item]:
        """Remove and return the next batch, as `Policy.take` does."""
        if free < 1:
            return []
        if len(self._interactive) and (self._turns < TURNS or not len(self._bulk)):
            self._turns = self._turns + 1 if len(self._bulk) else 0
            return self._interactive.take(now, free)
        self._turns = 0
        return self._bulk.take(now, free)
