"""A command of Celery's remote control, `hanner_probe`: let a pool process answer a text, and tell when it has.

It proves this one worker, whoever else works on its queue: that its event loop turns, that it hears Redis, and that its
processes run the model. Nothing of it goes through the queue, so a long one makes no worker look ill.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery.worker.control import inspect_command

from hanner_worker.context import get_context

SENTENCE = "马云在杭州"
LOST = 20.0
"""Seconds after which a probe counts as lost: Celery's pool forgets jobs when the connection to Redis breaks."""


def run_probe() -> int:
    """Run the model on a sentence, in a pool process; return how many entities it found."""
    entities, _ = get_context().recogniser.run([SENTENCE])
    return len(entities[0])


@dataclass
class Probe:
    """The probes of one worker, numbered from 1. Lives in the parent.

    Attributes:
        asked: number of the newest.
        answered: number of the newest that was answered; 0 for none.
        failed: number of the newest that failed; 0 for none.
    """

    asked: int = 0
    answered: int = 0
    failed: int = 0
    _since: float = 0.0

    def is_running(self, now: float) -> bool:
        """Tell whether the newest has not ended, and may still."""
        return max(self.answered, self.failed) < self.asked and now - self._since < LOST

    def start(self, pool: Any, now: float) -> None:
        """Send one to the pool; a pool that is closing takes none, and then it fails."""
        self.asked += 1
        self._since = now
        number = self.asked
        job = pool.apply_async(
            run_probe, callback=self._noting("answered", number), error_callback=self._noting("failed", number)
        )
        if job is None:
            self.failed = number

    def _noting(self, end: str, number: int) -> Callable[[Any], None]:
        def note(_: Any) -> None:
            setattr(self, end, max(getattr(self, end), number))

        return note


@inspect_command()  # type: ignore[untyped-decorator]
def hanner_probe(state: Any, *, start: bool = True) -> dict[str, int]:
    """Start a probe, unless one runs or `start` is false; tell the numbers of the newest asked, answered and failed."""
    consumer = state.consumer
    probe: Probe | None = getattr(consumer, "hanner_probe", None)
    if probe is None:
        probe = consumer.hanner_probe = Probe()
    now = time.monotonic()
    if start and not probe.is_running(now):
        probe.start(consumer.pool, now)
    return {"asked": probe.asked, "answered": probe.answered, "failed": probe.failed}
