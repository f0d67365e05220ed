"""Readiness: whether a worker answers a test text. Sends through the client, keeps the last success in memory."""

import asyncio
import time
from collections.abc import Callable

from hanner.aio.client import AsyncClient
from hanner.contract import EXAMPLE_TEXT

VALID_FOR = 10.0
"""Seconds for which a worker's answer counts as ready."""
TIMEOUT = 5.0
"""Seconds a worker has to answer the test text."""


class Readiness:
    """Checks that a worker answers, and caches a success for `VALID_FOR` seconds.

    Args:
        client: Sends the test text.
        clock: Returns monotonic seconds.
    """

    def __init__(self, client: AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._last_success: float | None = None
        self._pending: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Return if a worker has answered recently; concurrent calls share one test text.

        Raises:
            HannerError: no worker answered.
        """
        if self._last_success is not None and self._clock() - self._last_success < VALID_FOR:
            return
        if self._pending is None or self._pending.done():
            self._pending = asyncio.create_task(self._probe())
        await asyncio.shield(self._pending)

    async def _probe(self) -> None:
        await self._client.extract(EXAMPLE_TEXT, timeout=TIMEOUT)
        self._last_success = self._clock()
