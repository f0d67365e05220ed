"""How a worker does: figures over the last seconds. Pure but for a lock; the clock is passed in."""

import threading
from collections import deque
from dataclasses import dataclass, field

WINDOW = 10.0
"""Seconds that count as recent."""


@dataclass(slots=True)
class Meter:
    """Counts texts and times of batches, on one thread; another reads.

    Attributes:
        started: when counting began, in seconds of the caller's clock.
        texts: all texts so far.
    """

    started: float
    texts: int = 0
    _batches: deque[tuple[float, int, float]] = field(default_factory=deque)  # when, texts, latency in ms
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, now: float, texts: int, latency_ms: float) -> None:
        """Take note of a finished batch: its texts, and its oldest text's wait and run together."""
        with self._lock:
            self.texts += texts
            self._batches.append((now, texts, latency_ms))
            self._forget(now)

    def figures(self, now: float) -> dict[str, float]:
        """Return texts, and the recent rate (texts/s), batch_texts and latency_ms."""
        with self._lock:
            self._forget(now)
            count, texts = len(self._batches), sum(texts for _, texts, _ in self._batches)
            latency = sum(latency for _, _, latency in self._batches)
            seconds = max(min(WINDOW, now - self.started), 1.0)
        return {
            "texts": self.texts,
            "rate": round(texts / seconds, 2),
            "batch_texts": round(texts / count, 2) if count else 0,
            "latency_ms": round(latency / count, 3) if count else 0,
        }

    def _forget(self, now: float) -> None:
        while self._batches and self._batches[0][0] < now - WINDOW:
            self._batches.popleft()
