"""Routes for operators: /healthz, /readyz, GET /api/v1/status, GET /api/v1/info and /metrics."""

import contextlib
from importlib import metadata
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, Metric
from redis.exceptions import RedisError

from hanner.contract import MAX_TEXTS
from hanner.errors import HannerError
from hanner.queue.stats import Backlog
from hanner_gateway import metrics
from hanner_gateway.problems import ProblemError, problem_responses
from hanner_gateway.schemas import Health, Info, Limits, Queue, Status, Worker
from hanner_gateway.state import State, get_state

router = APIRouter()
"""Routes for probes and scrapers, which have no key."""
api_router = APIRouter()


@router.get("/healthz", tags=["operation"], summary="Liveness")
async def healthz() -> Health:
    """Return ok if this process answers; Redis and workers are not checked."""
    return Health(status="ok")


@router.get("/readyz", tags=["operation"], summary="Readiness", responses=problem_responses(503))
async def readyz(request: Request) -> Health:
    """Return ok if a worker runs: it has renewed its lease within the last seconds. No text is sent."""
    try:
        await get_state(request).readiness.check()
    except HannerError as error:
        raise ProblemError(503, f"not ready: {error}", code=error.code, headers={"Retry-After": "1"}) from None
    return Health(status="ok")


@api_router.get(
    "/api/v1/status", tags=["operation"], summary="Queue and workers", responses=problem_responses(401, 429, 503)
)
async def status(request: Request) -> Status:
    """Return the depth of the queue and the state of each worker."""
    backlog = await get_state(request).client.backlog()
    workers = [Worker.model_validate(worker, from_attributes=True) for worker in backlog.workers]
    queue = Queue.model_validate(backlog, from_attributes=True)
    return Status(queue=queue, workers=workers, rate=backlog.rate)


@api_router.get(
    "/api/v1/info",
    tags=["operation"],
    summary="Model, types, limits and version",
    responses=problem_responses(401, 404, 422, 429, 503),
)
async def info(
    request: Request, model: Annotated[str | None, Query(description="Name of the model; see POST /api/v1/ner.")] = None
) -> Info:
    """Return the model, its entity types, the limits of requests and the gateway's version."""
    state = get_state(request)
    settings, found = state.settings, await state.models.read(model)
    return Info(
        version=metadata.version("hanner"),
        queue=await state.client.queue_of(model),
        model=found.names[0] if found.names else None,
        models=list(found.names),
        types=None if found.types is None else list(found.types),
        limits=Limits(
            text_characters=settings.max_text_chars,
            texts=MAX_TEXTS,
            body_bytes=settings.max_body_bytes,
            upload_bytes=settings.max_upload_bytes,
            job_texts=settings.max_job_texts,
            unfinished_jobs=settings.max_jobs,
            seconds=settings.timeout,
        ),
    )


@router.get("/metrics", include_in_schema=False)
async def prometheus(request: Request) -> Response:
    """Return the metrics of all gateway processes, and those of the queue, for Prometheus."""
    families = await _read_families(get_state(request))
    return Response(metrics.render(families), media_type=CONTENT_TYPE_LATEST)


async def _read_families(state: State) -> list[Metric]:
    """Return version, jobs and queue; values that need Redis are missing while it is unreachable."""
    unfinished = None
    found = await state.client.backlogs()
    several = len(found) > 1
    backlogs = {
        address if several else "": backlog if isinstance(backlog, Backlog) else None
        for address, backlog in found.items()
    }
    with contextlib.suppress(RedisError, OSError):
        unfinished = await state.jobs.count_unfinished()
    return metrics.state_metrics(state.settings, backlogs, unfinished)
