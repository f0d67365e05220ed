"""The recent throughput of a worker, for its heartbeat. Pure, except for a lock; the clock is passed in."""

import threading
from collections import deque
from dataclasses import dataclass, field

WINDOW = 10.0
"""Seconds that count as recent."""


@dataclass(slots=True)
class Throughput:
    """Counts the texts and latencies of batches. One thread records, another one reads.

    Attributes:
        started: start of counting, in seconds of the caller's clock.
        texts: number of texts so far.
    """

    started: float
    texts: int = 0
    _batches: deque[tuple[float, int, float]] = field(default_factory=deque)  # time, texts, latency in ms
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_batch(self, now: float, texts: int, latency_ms: float) -> None:
        """Record a finished batch: its texts, and the longest wait of a request plus the runtime."""
        with self._lock:
            self.texts += texts
            self._batches.append((now, texts, latency_ms))
            self._drop_old(now)

    def snapshot(self, now: float) -> dict[str, float]:
        """Return texts, and the recent rate (texts/s), batch_texts and latency_ms."""
        with self._lock:
            self._drop_old(now)
            count, texts = len(self._batches), sum(texts for _, texts, _ in self._batches)
            latency = sum(latency for _, _, latency in self._batches)
            seconds = max(min(WINDOW, now - self.started), 1.0)
        return {
            "texts": self.texts,
            "rate": round(texts / seconds, 2),
            "batch_texts": round(texts / count, 2) if count else 0,
            "latency_ms": round(latency / count, 3) if count else 0,
        }

    def _drop_old(self, now: float) -> None:
        while self._batches and self._batches[0][0] < now - WINDOW:
            self._batches.popleft()
