"""What the gateway's parts share in one process."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from fastapi import Request

from hanner.aio.client import AsyncClient
from hanner.settings import Settings
from hanner_gateway.jobs.runner import Runner
from hanner_gateway.jobs.store import JobStore

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from hanner_gateway.readiness import Readiness


@dataclass(frozen=True)
class State:
    """Made when the gateway starts, closed when it ends."""

    settings: Settings
    client: AsyncClient
    redis: "Redis"
    jobs: JobStore
    runner: Runner
    readiness: "Readiness"

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return the state of the app that serves a request."""
        found: Self = request.app.state.hanner
        return found
