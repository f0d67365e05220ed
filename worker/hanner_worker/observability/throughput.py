"""The recent throughput of a worker, for its heartbeat. Pure, except for a lock; the clock is passed in."""

import threading
from collections import deque
from dataclasses import dataclass, field

WINDOW = 10.0
"""Seconds that count as recent."""
FORGETTING = 0.999
"""Weight of a text in `text_seconds`, relative to the next text. The text of a probe, once a minute, hardly counts."""


@dataclass(slots=True)
class Throughput:
    """Counts the texts and latencies of batches. One thread records, another one reads.

    Attributes:
        started: start of counting, in seconds of the caller's clock.
        texts: number of texts so far.
    """

    started: float
    texts: int = 0
    _batches: deque[tuple[float, int, float, float]] = field(default_factory=deque)  # time, texts, latency, busy
    _text_weight: float = 0.0
    _run_weight: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_batch(self, now: float, texts: int, latency_ms: float, seconds: float = 0.0, *, bulk: bool = False) -> None:
        """Record a finished batch.

        Args:
            now: seconds of the caller's clock.
            texts: its texts.
            latency_ms: the longest wait of a request plus the runtime.
            seconds: the runtime, which kept one process busy.
            bulk: its requests were bulk. They keep workers busy for as long as any wait, so they do not count as busy.
        """
        with self._lock:
            self.texts += texts
            self._batches.append((now, texts, latency_ms, 0.0 if bulk else seconds))
            self._drop_old(now)

    def add_cost(self, texts: int, seconds: float) -> None:
        """Record how long a process took for the texts of a batch.

        `seconds` is without the time that a batch takes whatever its size. Backlogs are processed in large batches, so
        with it, batches of one text would make a text look several times as expensive.
        """
        with self._lock:
            forgetting = FORGETTING**texts
            self._text_weight = forgetting * self._text_weight + texts
            self._run_weight = forgetting * self._run_weight + max(0.0, seconds)

    def snapshot(self, now: float) -> dict[str, float]:
        """Return texts, the recent rate (texts/s), batch_texts, latency_ms and busy, and text_seconds.

        busy is the mean number of processes that ran interactive batches. text_seconds is how long one process takes
        for a text; it is kept while the worker is idle, and 0 before the first batch.
        """
        with self._lock:
            self._drop_old(now)
            count, texts = len(self._batches), sum(batch[1] for batch in self._batches)
            latency, busy = (sum(batch[column] for batch in self._batches) for column in (2, 3))
            text_seconds = self._run_weight / self._text_weight if self._text_weight else 0.0
            seconds = max(min(WINDOW, now - self.started), 1.0)
        return {
            "texts": self.texts,
            "rate": round(texts / seconds, 2),
            "batch_texts": round(texts / count, 2) if count else 0,
            "latency_ms": round(latency / count, 3) if count else 0,
            "busy": round(busy / seconds, 3),
            "text_seconds": round(text_seconds, 6),
        }

    def _drop_old(self, now: float) -> None:
        while self._batches and self._batches[0][0] < now - WINDOW:
            self._batches.popleft()
