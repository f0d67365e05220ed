"""What the gateway's parts share in one process."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from fastapi import Request

from nerq.aio import AsyncClient
from nerq.settings import Settings
from nerq_gateway.jobs.runner import Runner
from nerq_gateway.jobs.store import JobStore

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from nerq_gateway.status import Readiness


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
        found: Self = request.app.state.nerq
        return found
