"""The progress of jobs for event streams: read once for all listeners of the process, however many there are."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

from redis.exceptions import RedisError

from hanner_gateway.jobs.store import JobStore
from hanner_gateway.schemas import JobProgress

log = logging.getLogger("hanner.gateway.jobs")

POLL_INTERVAL = 0.2
"""Seconds between two reads of the progress."""
SECONDS_PER_LISTENER = 0.0005
"""Seconds by which each listener extends the interval, so that events do not take all the time of the process."""


class _Job:
    """A job with listeners."""

    def __init__(self) -> None:
        self.listeners = 0
        self.progress: JobProgress | None = None
        self.changed = asyncio.Event()

    def update(self, progress: JobProgress | None) -> None:
        if progress != self.progress:
            self.progress = progress
            self.changed.set()
            self.changed = asyncio.Event()


class ProgressFeed:
    """Reads the progress of all jobs that have listeners, in one round trip each time.

    Args:
        store: Has the jobs.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._jobs: dict[str, _Job] = {}
        self._polling: asyncio.Task[None] | None = None

    async def follow(self, progress: JobProgress) -> AsyncGenerator[JobProgress | None, None]:
        """Yield a job's progress and each change of it; None if the job is gone.

        Args:
            progress: The progress as it was read a moment ago.
        """
        job = self._jobs.setdefault(progress.id, _Job())
        job.listeners += 1
        job.progress = job.progress or progress
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll())
        try:
            while True:
                changed = job.changed
                yield job.progress
                await changed.wait()
        finally:
            job.listeners -= 1
            if not job.listeners:
                del self._jobs[progress.id]

    async def _poll(self) -> None:
        failing = False
        try:
            while self._jobs:
                ids = list(self._jobs)
                try:
                    found = await self._store.progress_of(ids)
                except (RedisError, OSError) as error:
                    if not failing:
                        log.warning("event streams wait, Redis is unreachable: %s", type(error).__name__)
                    failing = True
                else:
                    failing = False
                    for job_id, progress in zip(ids, found, strict=True):
                        if (job := self._jobs.get(job_id)) is not None:
                            job.update(progress)
                listeners = sum(job.listeners for job in self._jobs.values())
                await asyncio.sleep(max(POLL_INTERVAL, listeners * SECONDS_PER_LISTENER))
        finally:
            self._polling = None

    async def close(self) -> None:
        """Stop reading."""
        if (task := self._polling) is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
