"""Probes of a worker: they run the model in a pool process, without the queue. For health checks and the watchdog."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hanner.contract import EXAMPLE_TEXT
from hanner_worker.context import get_context

PROBE_TIMEOUT = 20.0
"""Seconds after which a probe counts as lost: Celery's pool drops its jobs when the connection to Redis breaks."""


@dataclass
class Probes:
    """The probes of one worker, numbered from 1. Lives in the parent.

    Attributes:
        started: number of the newest probe.
        succeeded: number of the newest probe that succeeded, or 0.
        failed: number of the newest probe that failed, or 0.
    """

    started: int = 0
    succeeded: int = 0
    failed: int = 0
    _started_at: float = 0.0

    def is_running(self, now: float) -> bool:
        """Return whether the newest probe has not finished and has not timed out."""
        return max(self.succeeded, self.failed) < self.started and now - self._started_at < PROBE_TIMEOUT

    def start(self, pool: Any, now: float) -> None:
        """Send a probe to the pool. A pool that is closing does not accept it; then the probe has failed."""
        self.started += 1
        self._started_at = now
        number = self.started
        job = pool.apply_async(
            run_probe, callback=self._finish("succeeded", number), error_callback=self._finish("failed", number)
        )
        if job is None:
            self.failed = number

    def _finish(self, outcome: str, number: int) -> Callable[[Any], None]:
        def finish(_: Any) -> None:
            setattr(self, outcome, max(getattr(self, outcome), number))

        return finish


def run_probe() -> int:
    """Run the model on the example text, in a pool process; return the number of entities."""
    entities, _ = get_context().recogniser.run([EXAMPLE_TEXT])
    return len(entities[0])
