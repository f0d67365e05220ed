"""Readiness: whether a worker runs. Reads the leases of the workers; no text is sent, so probes count nowhere.

Whether the processes of a worker answer is checked by its own health check, `hanner probe`.
"""

import asyncio
import time
from collections.abc import Callable

from hanner.aio.client import AsyncClient
from hanner_gateway.problems import ProblemError

VALID_FOR = 2.0
"""Seconds for which a success is cached."""


class Readiness:
    """Checks that a worker has a valid lease, and caches a success for `VALID_FOR` seconds.

    Args:
        client: Reads the state of the queue.
        clock: Returns monotonic seconds.
    """

    def __init__(self, client: AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._last_success: float | None = None
        self._pending: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Return if a worker runs; concurrent calls share one read of Redis.

        Raises:
            HannerError: Redis did not answer.
            ProblemError: no worker runs.
        """
        if self._last_success is not None and self._clock() - self._last_success < VALID_FOR:
            return
        if self._pending is None or self._pending.done():
            self._pending = asyncio.create_task(self._read())
        await asyncio.shield(self._pending)

    async def _read(self) -> None:
        if not (await self._client.backlog()).workers:
            detail = f"not ready: no worker runs on the queue {self._client.settings.queue}; start one: hanner worker"
            raise ProblemError(503, detail, code="no_worker", headers={"Retry-After": "1"})
        self._last_success = self._clock()
