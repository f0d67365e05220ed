"""How long it took until work went on: after a worker's death with what it held, after an outage with anything."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from chaos.audit import QUEUE, task_id


@dataclass(frozen=True)
class Death:
    """A worker died at `moment` and held these texts."""

    moment: float
    held: frozenset[int]


@dataclass
class Recovery:
    """Deaths and ends of outages of a run, in order of time (monotonic)."""

    deaths: list[Death] = field(default_factory=list)
    outages: list[float] = field(default_factory=list)

    def died(self, held: Iterable[int]):
        self.deaths.append(Death(time.monotonic(), frozenset(held)))

    def back(self):
        """Note that what was broken works again."""
        self.outages.append(time.monotonic())

    def longest(self, ledger, begun):
        """Return the longest recovery in seconds; None if nothing had to recover.

        A text that a dead worker held is back when a process begins with it, when its caller has been told, or when
        its next holder dies too, from which on it counts anew. An outage is over with the next answer.
        """
        waits = [wait for number, _ in enumerate(self.deaths) for wait in self._waits(number, ledger, begun)]
        ends = sorted(entry.ended for entry in ledger.entries.values() if entry.ended is not None)
        for moment in self.outages:
            waits += [end - moment for end in ends if end >= moment][:1]
        return max(waits, default=None)

    def _waits(self, number, ledger, begun):
        death = self.deaths[number]
        for serial in death.held:
            entry = ledger.entries.get(serial)
            if entry is None or (entry.ended is not None and entry.ended <= death.moment):
                continue
            ends = [moment for moment in begun[serial] if moment > death.moment]
            ends += [entry.ended] if entry.ended is not None else []
            ends += [later.moment for later in self.deaths[number + 1 :] if serial in later.held][:1]
            yield min(ends, default=time.monotonic()) - death.moment


def held_by(client, pid):
    """Return the serial numbers of what hanner's worker with this parent holds; nothing for a stock worker."""
    held = set()
    for key in client.scan_iter(match=f"hanner:{QUEUE}:unacked:*:{pid}:*", count=1000):
        held.update(filter(None, map(task_id, client.hvals(key))))
    return held
