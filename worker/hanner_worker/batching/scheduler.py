"""Which requests leave as the next batch. Pure: the clock is an argument, nothing is imported that does I/O."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

FULL = 0.9
"""A group that uses this share of a budget is full enough: among such groups the one that waited longest goes."""


class QueuedRequest(NamedTuple):
    """One request that waits.

    Attributes:
        key: names the request; unique among those that wait.
        rows: windows of text, at least 1.
        longest: tokens of the longest window, at least 1.
        arrived: when it came, in seconds of the caller's clock.
        alone: it must not share a batch (it may have killed a process).
        bulk: nobody waits for it; see lanes.py.
    """

    key: str
    rows: int
    longest: int
    arrived: float
    alone: bool = False
    bulk: bool = False

    @property
    def area(self) -> int:
        """Tokens of all windows if each were as long as the longest.

        A request's own short windows are not held against it: its process groups all windows by length once more.
        """
        return self.longest * self.rows


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What one batch may be.

    Attributes:
        tokens: most tokens after padding: longest x rows.
        rows: most windows.
        padding: largest share of the tokens that may be padding, 0 to 1.
        max_wait: seconds for which the oldest may be overtaken.
    """

    tokens: int
    rows: int
    padding: float
    max_wait: float

    def allow(self, longest: int, rows: int, area: int) -> bool:
        """Tell whether a batch of these dimensions keeps all limits; `area` is the sum of its requests'."""
        cost = longest * rows
        return rows <= self.rows and cost <= self.tokens and cost - area <= self.padding * cost


@dataclass(frozen=True, slots=True)
class Window:
    """A run of like length in the sorted list: `low` to `high`, end exclusive, and how good a batch it is."""

    low: int
    high: int
    fill: float
    oldest: float


@dataclass(slots=True)
class BatchScheduler:
    """The requests that wait, and the choice among them.

    Adding and taking are a bisection and one pass over the list, so thousands may wait.
    """

    limits: BatchLimits
    _sorted: list[tuple[int, int, QueuedRequest]] = field(default_factory=list)  # (longest, serial, item)
    _alone: dict[str, QueuedRequest] = field(default_factory=dict)
    _serials: dict[str, tuple[int, int]] = field(default_factory=dict)  # where a key stands in _sorted
    _ages: list[tuple[float, int, str]] = field(default_factory=list)  # a heap; keys that have left are skipped
    _rows: int = 0
    _serial: int = 0

    def __len__(self) -> int:
        return len(self._sorted) + len(self._alone)

    def __contains__(self, key: str) -> bool:
        return key in self._serials or key in self._alone

    def __iter__(self) -> Iterator[QueuedRequest]:
        yield from self._alone.values()
        yield from (item for _, _, item in self._sorted)

    def add(self, item: QueuedRequest) -> None:
        """Let `item` wait.

        Raises:
            ValueError: an item of this key waits already.
        """
        if item.key in self:
            raise ValueError(f"{item.key} waits already")
        if item.alone:
            self._alone[item.key] = item
            return
        self._serial += 1
        place = (item.longest, self._serial)
        self._serials[item.key] = place
        insort(self._sorted, (*place, item), key=_place)
        heappush(self._ages, (item.arrived, self._serial, item.key))
        self._rows += item.rows

    def clear(self) -> None:
        """Forget all that wait."""
        self._sorted.clear()
        self._alone.clear()
        self._serials.clear()
        self._ages.clear()
        self._rows = 0

    def take(self, now: float, free: int = 1) -> list[QueuedRequest]:
        """Remove and return the next batch; empty when nothing waits or no process is free.

        What must be alone goes first, unless something else is overdue and older. Then the oldest goes if it is
        overdue, with the best company of like length; otherwise the fullest group of like length goes.

        Args:
            now: seconds of the clock that set `arrived`.
            free: idle processes; what waits is shared out among them rather than piled on the first.
        """
        if free < 1 or not len(self):
            return []
        oldest = self._oldest()
        overdue = oldest is not None and now - oldest.arrived >= self.limits.max_wait
        if self._alone:
            lonely = min(self._alone.values(), key=lambda item: item.arrived)
            if not (overdue and oldest is not None and oldest.arrived < lonely.arrived):
                return [self._alone.pop(lonely.key)]
        share = -(-self._rows // free)
        limits = BatchLimits(
            self.limits.tokens, max(1, min(self.limits.rows, share)), self.limits.padding, self.limits.max_wait
        )
        anchor = self._index(oldest.key) if overdue and oldest is not None else None
        best = max(self._windows(limits, anchor), key=lambda window: (window.fill, -window.oldest))
        return self._remove(best.low, best.high)

    def _windows(self, limits: BatchLimits, anchor: int | None) -> Iterator[Window]:
        """Yield, for every longest item, the largest run of like length that ends with it (and holds the anchor).

        Both ends only move up: if a run breaks a limit, so does any that contains it.
        """
        items = self._sorted
        # A run has at most limits.rows items, so only the anchor's neighbours matter.
        first = 0 if anchor is None else max(0, anchor - limits.rows + 1)
        last = len(items) if anchor is None else min(len(items), anchor + limits.rows)
        low, rows, area = first, 0, 0
        youth: deque[int] = deque()  # indices in the run, each older than those behind it: the first is the oldest
        for high in range(first, last):
            item = items[high][2]
            rows += item.rows
            area += item.area
            while youth and items[youth[-1]][2].arrived >= item.arrived:
                youth.pop()
            youth.append(high)
            while low < high and not limits.allow(item.longest, rows, area):
                rows -= items[low][2].rows
                area -= items[low][2].area
                low += 1
            while youth[0] < low:
                youth.popleft()
            if anchor is None or low <= anchor <= high:
                fill = max(rows / limits.rows, item.longest * rows / limits.tokens)
                yield Window(low, high + 1, 1.0 if fill >= FULL else fill, items[youth[0]][2].arrived)

    def _oldest(self) -> QueuedRequest | None:
        """Return the oldest of those that may share a batch."""
        while self._ages:
            _, serial, key = self._ages[0]
            place = self._serials.get(key)
            if place is not None and place[1] == serial:
                return self._sorted[self._index(key)][2]
            heappop(self._ages)
        return None

    def _index(self, key: str) -> int:
        return bisect_left(self._sorted, self._serials[key], key=_place)

    def _remove(self, low: int, high: int) -> list[QueuedRequest]:
        taken = [item for _, _, item in self._sorted[low:high]]
        del self._sorted[low:high]
        for item in taken:
            del self._serials[item.key]
            self._rows -= item.rows
        return taken


def _place(entry: tuple[int, int, QueuedRequest]) -> tuple[int, int]:
    return entry[0], entry[1]
