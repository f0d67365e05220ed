"""Which requests form the next batch, and how large a request is. Pure: nothing does I/O, and there is no clock.

First in, first out. Batches have a budget in time, which CostModel converts to tokens. The engine sorts a batch by
length itself, so requests of any lengths may share a batch; docs/explanation/batching.md has the measurements.
"""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from hanner_inference.tokenization import SPECIAL_TOKENS

BULK_EVERY = 8
"""Interactive batches in a row while bulk requests are queued; then a bulk batch is next."""
BATCH_OVERHEAD = 48
"""Tokens that a batch costs in addition to its own, before it is measured."""
SECONDS_PER_TOKEN = 1e-4
"""Cost of a token if none was measured: between hanner-small's and that of BERT-base's size."""
FORGETTING = 0.95
"""Weight of a batch's cost relative to that of the next batch."""
ASSUMPTION = 0.1
"""Weight of what is assumed before it is measured, relative to a batch."""


class Size(NamedTuple):
    """The cost of a request for the model.

    Attributes:
        texts: texts, valid or not.
        rows: windows of text.
        tokens: tokens of all windows.
        characters: code points of all texts together.
    """

    texts: int
    rows: int
    tokens: int
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
    count = rows = characters = 0
    for text in texts:
        length = len(text) if isinstance(text, str) else 0
        rows += max(1, -(-length // room))
        count += 1
        characters += length
    rows = max(rows, 1)
    return Size(count, rows, characters + rows * SPECIAL_TOKENS, characters)


class QueuedRequest(NamedTuple):
    """A request in the scheduler's queue.

    Attributes:
        key: names the request; unique in the queue.
        rows: windows of text, at least 1.
        tokens: tokens of all windows, at least 1.
        arrived: when it was received, in seconds of the caller's clock.
        isolated: it must not share a batch, because it may have crashed a process.
        bulk: it has the lower priority.
    """

    key: str
    rows: int
    tokens: int
    arrived: float
    isolated: bool = False
    bulk: bool = False


@dataclass(slots=True)
class CostModel:
    """The expected duration of a batch: seconds per batch + seconds per token x tokens, learned from finished batches.

    Least squares of the relative errors; each batch counts FORGETTING times as much as the next one. If all batches
    have one size, the two costs cannot be separated; then a batch costs as much as BATCH_OVERHEAD tokens.

    Attributes:
        per_batch: seconds.
        per_token: seconds.
    """

    per_token: float = SECONDS_PER_TOKEN
    per_batch: float = 0.0
    _sums: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)  # of 1, tokens, tokens², seconds, tokens x seconds

    def __post_init__(self) -> None:
        self.learn(BATCH_OVERHEAD, 2 * BATCH_OVERHEAD * self.per_token, ASSUMPTION)

    def learn(self, tokens: int, seconds: float, weight: float = 1.0) -> None:
        """Add a finished batch."""
        weight /= (tokens + BATCH_OVERHEAD) ** 2
        terms = (1.0, tokens, tokens**2, seconds, tokens * seconds)
        self._sums = tuple(FORGETTING * total + weight * term for total, term in zip(self._sums, terms, strict=True))
        # One more equation, which never fades: per_batch = BATCH_OVERHEAD * per_token.
        n, x, xx, y, xy = self._sums
        n, x, xx = n + ASSUMPTION / BATCH_OVERHEAD**2, x - ASSUMPTION / BATCH_OVERHEAD, xx + ASSUMPTION
        determinant = n * xx - x * x
        self.per_token = max((n * xy - x * y) / determinant, 1e-9)
        self.per_batch = max((xx * y - x * xy) / determinant, 0.0)

    def tokens(self, seconds: float) -> int:
        """Return how many tokens are expected to take `seconds`; 0 if a batch takes longer whatever its size."""
        return max(0, int((seconds - self.per_batch) / self.per_token))

    def seconds(self, tokens: int) -> float:
        """Return how long one process is expected to take for `tokens`; 0 for none."""
        return self.per_batch + self.per_token * tokens if tokens else 0.0


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Limits of one batch.

    Attributes:
        tokens: maximum number of tokens.
        rows: maximum number of windows.
        seconds: duration of an interactive batch, unless more waits than all processes finish in that time.
    """

    tokens: int
    rows: int
    seconds: float


@dataclass(slots=True)
class Lane:
    """The queued requests of one priority, the oldest first."""

    requests: list[QueuedRequest] = field(default_factory=list)
    tokens: int = 0

    def add(self, request: QueuedRequest) -> None:
        """Queue a request; a retried one is queued where it was."""
        insort(self.requests, request, key=attrgetter("arrived"))
        self.tokens += request.tokens

    def take(self, max_rows: int, max_tokens: int) -> list[QueuedRequest]:
        """Remove and return the oldest requests within the limits, at least one; an isolated one is alone."""
        count = rows = tokens = 0
        for request in self.requests:
            rows, tokens = rows + request.rows, tokens + request.tokens
            if count and (request.isolated or rows > max_rows or tokens > max_tokens):
                tokens -= request.tokens
                break
            count += 1
            if request.isolated:
                break
        taken = self.requests[:count]
        del self.requests[:count]
        self.tokens -= tokens
        return taken


@dataclass(slots=True)
class BatchScheduler:
    """The queued requests, interactive and bulk, which share no batch.

    An interactive request waits only for the bulk batches that run already. If BULK_EVERY interactive batches were sent
    in a row while bulk requests were queued, the next batch is a bulk batch. So at least one batch in nine is a bulk
    batch, and bulk requests do not starve.
    """

    limits: BatchLimits
    cost: CostModel = field(default_factory=CostModel)
    _interactive: Lane = field(default_factory=Lane)
    _bulk: Lane = field(default_factory=Lane)
    _keys: set[str] = field(default_factory=set)
    _in_a_row: int = 0

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def add(self, request: QueuedRequest) -> None:
        """Queue a request.

        Raises:
            ValueError: a request with this key is queued already.
        """
        if request.key in self._keys:
            raise ValueError(f"{request.key} is queued already")
        self._keys.add(request.key)
        (self._bulk if request.bulk else self._interactive).add(request)

    def interactive_waits(self) -> bool:
        """Return whether interactive requests are queued."""
        return bool(self._interactive.requests)

    def clear(self) -> None:
        """Remove all requests."""
        self._interactive, self._bulk = Lane(), Lane()
        self._keys.clear()
        self._in_a_row = 0

    def take(self, idle: int = 1, processes: int = 1) -> list[QueuedRequest]:
        """Remove and return the next batch; empty if nothing is queued or no process is idle.

        Args:
            idle: idle processes; the queued requests are divided among them.
            processes: all processes, at least `idle`.
        """
        if idle < 1 or not self._keys:
            return []
        waiting = bool(self._bulk.requests)
        if self._interactive.requests and (self._in_a_row < BULK_EVERY or not waiting):
            self._in_a_row = self._in_a_row + 1 if waiting else 0
            lane = self._interactive
            # If the processes need longer than the target for all that waits, each takes its share: requests wait for
            # that long anyway, and large batches are more efficient.
            share = -(-lane.tokens // processes)
            tokens = min(self.limits.tokens, max(self.cost.tokens(self.limits.seconds), share))
        else:
            self._in_a_row = 0
            lane, tokens = self._bulk, self.limits.tokens
        taken = lane.take(self.limits.rows, min(tokens, -(-lane.tokens // idle)))
        self._keys.difference_update(request.key for request in taken)
        return taken
