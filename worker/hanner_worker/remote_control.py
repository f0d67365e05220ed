"""The commands that this worker adds to Celery's remote control: `hanner_about` and `hanner_probe`.

Importing this module registers them. They run on the event loop of the worker's parent and do not use the queue.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from celery.worker.control import inspect_command

from hanner.contract import EXAMPLE_TEXT
from hanner_worker.context import get_context, has_context

REPORTED_SETTINGS = ("queue", "max_text_chars", "result_ttl", "engine", "batch_texts", "batch_tokens")
PROBE_TIMEOUT = 20.0
"""Seconds after which a probe counts as lost: Celery's pool drops its jobs when the connection to Redis breaks."""


@inspect_command()  # type: ignore[untyped-decorator]
def hanner_about(state: Any) -> dict[str, Any]:
    """Return version, model, clock, and the settings that matter to clients; for `hanner doctor`."""
    pool = getattr(state.consumer, "pool", None)
    reply: dict[str, Any] = {
        "version": metadata.version("hanner"),
        "now": time.time(),
        "processes": getattr(pool, "num_processes", None),
    }
    if has_context():
        settings = get_context().settings
        reply |= {"model": get_context().model, **{name: getattr(settings, name) for name in REPORTED_SETTINGS}}
    return reply


@inspect_command()  # type: ignore[untyped-decorator]
def hanner_probe(state: Any, *, start: bool = True) -> dict[str, int]:
    """Return the number of the last probe that was started, of the last that succeeded and of the last that failed.

    Probes are numbered from 1. `hanner probe` reads the reply.

    A probe runs the model in a pool process of this worker, so it proves that the worker's event loop runs, that it
    receives messages from Redis, and that its processes can run the model. Because probes do not use the queue, a long
    queue does not make a worker look unhealthy.

    Args:
        state: Celery's state of the worker.
        start: start a probe, unless one is running.
    """
    consumer = state.consumer
    probes: Probes | None = getattr(consumer, "hanner_probes", None)
    if probes is None:
        probes = consumer.hanner_probes = Probes()
    now = time.monotonic()
    if start and not probes.is_running(now):
        probes.start(consumer.pool, now)
    return {"started": probes.started, "succeeded": probes.succeeded, "failed": probes.failed}


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
