"""The objects that one gateway process shares between requests."""

from dataclasses import dataclass

from fastapi import Request

from hanner.aio.client import AsyncClient
from hanner.settings import Settings
from hanner_gateway.jobs.progress import ProgressFeed
from hanner_gateway.jobs.runner import JobRunner
from hanner_gateway.jobs.store import JobStore
from hanner_gateway.models import Models
from hanner_gateway.readiness import Readiness


@dataclass(frozen=True)
class State:
    """Created when the gateway starts, closed when it stops."""

    settings: Settings
    client: AsyncClient
    jobs: JobStore
    runner: JobRunner
    progress: ProgressFeed
    models: Models
    readiness: Readiness


def get_state(request: Request) -> State:
    """Return the state of the app that serves a request."""
    state: State = request.app.state.hanner
    return state
