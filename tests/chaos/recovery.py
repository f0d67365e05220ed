"""Measures recovery: from a worker's death until its texts run again, and from an outage to the next answer."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from chaos.audit import QUEUE, task_id


@dataclass(frozen=True)
class Death:
    """A worker died at `moment` with these texts in flight."""

    moment: float
    in_flight: frozenset[int]


@dataclass
class Recovery:
    """Deaths and ends of outages of a run, in order of time (monotonic)."""

    deaths: list[Death] = field(default_factory=list)
    outages: list[float] = field(default_factory=list)

    def add_death(self, in_flight: Iterable[int]):
        self.deaths.append(Death(time.monotonic(), frozenset(in_flight)))

    def add_outage_end(self):
        """Record that an outage is over now."""
        self.outages.append(time.monotonic())

    def longest(self, log, starts):
        """Return the longest recovery in seconds, or None if nothing had to recover.

        A text of a dead worker is recovered when a process starts with it, when its caller gets the outcome, or when
        the next worker that has it dies too: from then on the time counts from that death. An outage is recovered with
        the next answer.
        """
        waits = [wait for number, _ in enumerate(self.deaths) for wait in self._waits(number, log, starts)]
        ends = sorted(text.ended for text in log.texts.values() if text.ended is not None)
        for moment in self.outages:
            waits += [end - moment for end in ends if end >= moment][:1]
        return max(waits, default=None)

    def _waits(self, number, log, starts):
        death = self.deaths[number]
        for serial in death.in_flight:
            text = log.texts.get(serial)
            if text is None or (text.ended is not None and text.ended <= death.moment):
                continue
            ends = [moment for moment in starts[serial] if moment > death.moment]
            ends += [text.ended] if text.ended is not None else []
            ends += [later.moment for later in self.deaths[number + 1 :] if serial in later.in_flight][:1]
            yield min(ends, default=time.monotonic()) - death.moment


def in_flight_of(client, pid):
    """Return the task ids that hanner's worker with this parent process has in flight; none for other workers."""
    found = set()
    for key in client.scan_iter(match=f"hanner:{QUEUE}:unacked:*:{pid}:*", count=1000):
        found.update(filter(None, map(task_id, client.hvals(key))))
    return found
