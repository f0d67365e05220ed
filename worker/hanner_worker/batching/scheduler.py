"""Which requests form the next batch, and how large a request is. Pure: the clock is an argument, nothing does I/O.

Two schedulers: PriorityScheduler chooses between interactive and bulk requests, BatchScheduler among those of one kind.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from operator import itemgetter
from typing import NamedTuple

from hanner_inference.tokenization import SPECIAL_TOKENS

FULL = 0.9
"""A group that uses this share of a limit counts as full; of full groups the one with the oldest request is chosen."""
BULK_EVERY = 8
"""Interactive batches in a row while bulk requests are queued; then a bulk batch is next."""


class Size(NamedTuple):
    """The cost of a request for the model.

    Attributes:
        texts: texts, valid or not.
        rows: windows of text.
        longest: tokens of the longest window.
        characters: code points of all texts together.
    """

    texts: int
    rows: int
    longest: int
    characters: int = 0


def estimate_size(texts: Iterable[object], max_length: int) -> Size:
    """Return the size of a request, estimated: one token per character, windows of `max_length` tokens.

    Chinese has one token per character and Latin words have fewer, so the estimate is an upper bound. Other values
    than strings count as empty texts: they are refused later and cost the model nothing.

    Args:
        texts: the texts of one request.
        max_length: tokens in the model's longest window, special ones included; at least 3.
    """
    room = max_length - SPECIAL_TOKENS
    count = rows = longest = characters = 0
    for text in texts:
        length = len(text) if isinstance(text, str) else 0
        windows = max(1, -(-length // room))
        rows += windows
        longest = max(longest, min(length, room) + SPECIAL_TOKENS)
        count += 1
        characters += length
    return Size(count, max(rows, 1), max(longest, SPECIAL_TOKENS), characters)


class QueuedRequest(NamedTuple):
    """A request in the scheduler's queue.

    Attributes:
        key: names the request; unique in the queue.
        rows: windows of text, at least 1.
        longest: tokens of the longest window, at least 1.
        arrived: when it was received, in seconds of the caller's clock.
        isolated: it must not share a batch, because it may have crashed a process.
        bulk: it has the lower priority.
    """

    key: str
    rows: int
    longest: int
    arrived: float
    isolated: bool = False
    bulk: bool = False

    @property
    def area(self) -> int:
        """Tokens of all windows if each were as long as the longest.

        A request's own short windows do not count as padding: its process groups all windows by length again.
        """
        return self.longest * self.rows


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Limits of one batch.

    Attributes:
        tokens: maximum number of tokens with padding: longest x rows.
        rows: maximum number of windows.
        padding: maximum share of padding in the tokens, 0 to 1.
        max_wait: seconds for which the oldest request may be overtaken.
    """

    tokens: int
    rows: int
    padding: float
    max_wait: float

    def allow(self, longest: int, rows: int, area: int) -> bool:
        """Return whether a batch of these dimensions keeps all limits; `area` is the sum of its requests' areas."""
        cost = longest * rows
        return rows <= self.rows and cost <= self.tokens and cost - area <= self.padding * cost


@dataclass(slots=True)
class BatchScheduler:
    """The queued requests of one priority, sorted by length.

    Adding is a bisection and taking is one pass over the list, so thousands may be queued.
    """

    limits: BatchLimits
    _sorted: list[tuple[int, int, QueuedRequest]] = field(default_factory=list)  # (longest, serial, item)
    _isolated: dict[str, QueuedRequest] = field(default_factory=dict)
    _serials: dict[str, tuple[int, int]] = field(default_factory=dict)  # position of a key in _sorted
    _ages: list[tuple[float, int, str]] = field(default_factory=list)  # a heap; keys that were taken are skipped
    _rows: int = 0
    _serial: int = 0

    def __len__(self) -> int:
        return len(self._sorted) + len(self._isolated)

    def __contains__(self, key: str) -> bool:
        return key in self._serials or key in self._isolated

    def add(self, item: QueuedRequest) -> None:
        """Queue a request.

        Raises:
            ValueError: a request with this key is queued already.
        """
        if item.key in self:
            raise ValueError(f"{item.key} is queued already")
        if item.isolated:
            self._isolated[item.key] = item
            return
        self._serial += 1
        place = (item.longest, self._serial)
        self._serials[item.key] = place
        insort(self._sorted, (*place, item), key=_sort_key)
        heappush(self._ages, (item.arrived, self._serial, item.key))
        self._rows += item.rows

    def clear(self) -> None:
        """Remove all requests."""
        self._sorted.clear()
        self._isolated.clear()
        self._serials.clear()
        self._ages.clear()
        self._rows = 0

    def take(self, now: float, idle: int = 1) -> list[QueuedRequest]:
        """Remove and return the next batch; empty if nothing is queued or no process is idle.

        Isolated requests are first, unless another one is overdue and older. Next is the oldest request if it is
        overdue, batched with the best-matching requests; otherwise the fullest group of similar length.

        Args:
            now: seconds of the clock that set `arrived`.
            idle: idle processes; the queued requests are divided among them.
        """
        if idle < 1 or not len(self):
            return []
        oldest = self._oldest()
        overdue = oldest is not None and now - oldest.arrived >= self.limits.max_wait
        if self._isolated:
            isolated = min(self._isolated.values(), key=lambda item: item.arrived)
            if not (overdue and oldest is not None and oldest.arrived < isolated.arrived):
                return [self._isolated.pop(isolated.key)]
        share = -(-self._rows // idle)
        limits = BatchLimits(
            self.limits.tokens, max(1, min(self.limits.rows, share)), self.limits.padding, self.limits.max_wait
        )
        anchor = self._index(oldest.key) if overdue and oldest is not None else None
        _, _, low, high = max(self._candidates(limits, anchor), key=itemgetter(0, 1))
        return self._remove(low, high)

    def _candidates(self, limits: BatchLimits, anchor: int | None) -> Iterator[tuple[float, float, int, int]]:
        """Yield, for every longest request, the largest slice that ends with it (and contains the anchor).

        Both ends only move up: if a slice breaks a limit, so does any that contains it.

        Yields:
            How full a batch it is, the negative arrival of its oldest request, and its bounds; the end is exclusive.
        """
        items = self._sorted
        # A slice has at most limits.rows requests, so only the anchor's neighbours matter.
        first = 0 if anchor is None else max(0, anchor - limits.rows + 1)
        last = len(items) if anchor is None else min(len(items), anchor + limits.rows)
        low, rows, area = first, 0, 0
        oldest: deque[int] = deque()  # indices in the slice, each older than the next: the first one is the oldest
        for high in range(first, last):
            item = items[high][2]
            rows += item.rows
            area += item.area
            while oldest and items[oldest[-1]][2].arrived >= item.arrived:
                oldest.pop()
            oldest.append(high)
            while low < high and not limits.allow(item.longest, rows, area):
                rows -= items[low][2].rows
                area -= items[low][2].area
                low += 1
            while oldest[0] < low:
                oldest.popleft()
            if anchor is None or low <= anchor <= high:
                fill = max(rows / limits.rows, item.longest * rows / limits.tokens)
                yield 1.0 if fill >= FULL else fill, -items[oldest[0]][2].arrived, low, high + 1

    def _oldest(self) -> QueuedRequest | None:
        """Return the oldest request that may share a batch."""
        while self._ages:
            _, serial, key = self._ages[0]
            place = self._serials.get(key)
            if place is not None and place[1] == serial:
                return self._sorted[self._index(key)][2]
            heappop(self._ages)
        return None

    def _index(self, key: str) -> int:
        return bisect_left(self._sorted, self._serials[key], key=_sort_key)

    def _remove(self, low: int, high: int) -> list[QueuedRequest]:
        taken = [item for _, _, item in self._sorted[low:high]]
        del self._sorted[low:high]
        for item in taken:
            del self._serials[item.key]
            self._rows -= item.rows
        return taken


def _sort_key(entry: tuple[int, int, QueuedRequest]) -> tuple[int, int]:
    return entry[0], entry[1]


@dataclass(slots=True)
class PriorityScheduler:
    """The queued requests, interactive and bulk, which share no batch.

    An interactive request waits only for the bulk batches that run already. If BULK_EVERY interactive batches were sent
    in a row while bulk requests were queued, the next batch is a bulk batch. So at least one batch in nine is a bulk
    batch, and bulk requests do not starve.
    """

    limits: BatchLimits
    _interactive: BatchScheduler = field(init=False)
    _bulk: BatchScheduler = field(init=False)
    _in_a_row: int = 0

    def __post_init__(self) -> None:
        self._interactive, self._bulk = BatchScheduler(self.limits), BatchScheduler(self.limits)

    def __len__(self) -> int:
        return len(self._interactive) + len(self._bulk)

    def __contains__(self, key: str) -> bool:
        return key in self._interactive or key in self._bulk

    def add(self, item: QueuedRequest) -> None:
        """Queue a request.

        Raises:
            ValueError: a request with this key is queued already.
        """
        if item.key in self:
            raise ValueError(f"{item.key} is queued already")
        (self._bulk if item.bulk else self._interactive).add(item)

    def clear(self) -> None:
        """Remove all requests."""
        self._interactive.clear()
        self._bulk.clear()
        self._in_a_row = 0

    def take(self, now: float, idle: int = 1) -> list[QueuedRequest]:
        """Remove and return the next batch, as `BatchScheduler.take` does."""
        if idle < 1:
            return []
        if len(self._interactive) and (self._in_a_row < BULK_EVERY or not len(self._bulk)):
            self._in_a_row = self._in_a_row + 1 if len(self._bulk) else 0
            return self._interactive.take(now, idle)
        self._in_a_row = 0
        return self._bulk.take(now, idle)
