"""/metrics: what the gateway has counted, and what it looks up when Prometheus asks."""

import contextlib
import os
from collections.abc import Iterable
from importlib import metadata

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from hanner.errors import HannerError
from hanner.queue.metrics import queue_metrics
from hanner_gateway.metrics import FOLDER, REGISTRY
from hanner_gateway.state import State

router = APIRouter()


class _Now(Collector):
    """What was looked up for one scrape."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Return the metrics of all of the gateway's processes, and the queue's."""
    counted = REGISTRY
    if FOLDER in os.environ:
        counted = CollectorRegistry()
        MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    now = CollectorRegistry()
    now.register(_Now(await _look(State.of(request))))
    return Response(generate_latest(counted) + generate_latest(now), media_type=CONTENT_TYPE_LATEST)


async def _look(state: State) -> list[Metric]:
    """Return version, jobs and queue; what Redis did not tell is left out."""
    version = GaugeMetricFamily("hanner_build_info", "Always 1; the version that runs.", labels=["version"])
    version.add_metric([metadata.version("hanner")], 1)
    jobs = GaugeMetricFamily("hanner_http_jobs_unfinished", "Jobs of all gateways that are not done yet.")
    backlog = None
    with contextlib.suppress(HannerError, RedisError, OSError):
        backlog = await state.client.backlog()
        jobs.add_metric([], await state.jobs.unfinished())
    return [version, jobs, *queue_metrics(state.settings.queue, state.settings.max_queue, backlog)]
