"""/healthz, /readyz and GET /api/v1/status."""

import asyncio
import time
from collections.abc import Callable

from fastapi import APIRouter, Request

from hanner.aio.client import AsyncClient
from hanner.contract import EXAMPLE_TEXT
from hanner.errors import HannerError
from hanner_gateway.problems import ProblemError, responses
from hanner_gateway.schemas import Health, Queue, Status, Worker
from hanner_gateway.state import State

router = APIRouter()

FRESH = 10.0
"""Seconds for which an answer of a worker's proves that there is one."""
PATIENCE = 5.0
"""Seconds that a worker has for the text it is asked to prove itself with."""


class Readiness:
    """Whether a worker answers: asked for with a text of our own, and remembered for a while.

    Args:
        client: Sends it.
        clock: Seconds, monotonic.
    """

    def __init__(self, client: AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._answered: float | None = None
        self._asking: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Return when a worker has answered lately.

        Raises:
            HannerError: none has.
        """
        if self._answered is not None and self._clock() - self._answered < FRESH:
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        await self._client.extract(EXAMPLE_TEXT, timeout=PATIENCE)
        self._answered = self._clock()


@router.get("/healthz", tags=["operation"], summary="Is the gateway up?")
async def healthz() -> Health:
    """Say that this process answers; nothing else is looked at."""
    return Health(status="ok")


@router.get("/readyz", tags=["operation"], summary="Is a worker there?", responses=responses(503))
async def readyz(request: Request) -> Health:
    """Say whether a worker has answered a text within the last seconds."""
    try:
        await State.of(request).readiness.check()
    except HannerError as error:
        raise ProblemError(503, f"not ready: {error}", code=error.code, headers={"Retry-After": "1"}) from None
    return Health(status="ok")


@router.get("/api/v1/status", tags=["operation"], summary="Queue and workers now", responses=responses(401, 429, 503))
async def status(request: Request) -> Status:
    """Return how much waits and who works on it."""
    backlog = await State.of(request).client.backlog()
    workers = [Worker.model_validate(worker, from_attributes=True) for worker in backlog.workers]
    queue = Queue(
        depth=backlog.depth, oldest_seconds=backlog.oldest_seconds, bulk=backlog.bulk, unacked=backlog.unacked
    )
    return Status(queue=queue, workers=workers, rate=backlog.rate)
