"""One log line a minute about the batches of that minute. The batches themselves are logged at the level DEBUG."""

import logging
import threading
from collections import Counter

from hanner_worker.delivery.inflight import Outcome
from hanner_worker.observability.hooks import BatchRecord, Observer

logger = logging.getLogger(__name__)

INTERVAL = 60.0
"""Seconds between two lines."""


class LogSummary(Observer):
    """Counts batches, and logs the sums from a thread: after each interval with batches, and at the end.

    Args:
        interval: seconds between two lines.
    """

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._counts: Counter[str] = Counter()
        self._longest_wait = self._longest_run = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hanner-log", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Log the remaining batches and stop the thread."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def on_batch(self, record: BatchRecord) -> None:
        """Count a batch."""
        tokens, padded = (int(record.stats.get(name, 0)) for name in ("tokens", "padded_tokens"))
        counts = {
            "batches": 1,
            "requests": len(record.requests),
            "texts": sum(request.size.texts for request in record.requests),
            "tokens": tokens,
            "padding": padded - tokens,
            "failed": sum(result.outcome is Outcome.FAILED for result in record.results),
            "lost": bool(record.loss),
        }
        with self._lock:
            self._counts.update(counts)
            self._longest_wait = max(self._longest_wait, *record.waits)
            self._longest_run = max(self._longest_run, record.runtime)

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            self._log()
        self._log()

    def _log(self) -> None:
        with self._lock:
            counts, waited, took = self._counts, self._longest_wait, self._longest_run
            self._counts, self._longest_wait, self._longest_run = Counter(), 0.0, 0.0
        if counts["batches"]:
            logger.info(
                "in up to %.0f s: %d requests with %d texts in %d batches, %d tokens and %d of padding, waited up to "
                "%.1f ms, took up to %.1f ms; %d requests failed, %d batches lost",
                self._interval,
                *(counts[name] for name in ("requests", "texts", "batches", "tokens", "padding")),
                waited * 1000,
                took * 1000,
                counts["failed"],
                counts["lost"],
            )
