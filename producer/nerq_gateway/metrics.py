"""/metrics in Prometheus' format. With several processes, they share files that `nerq gateway` names."""

import os

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

router = APIRouter()
FOLDER = "PROMETHEUS_MULTIPROC_DIR"

REGISTRY = CollectorRegistry()
REQUESTS = Counter("nerq_http_requests", "Requests answered.", ["method", "route", "status"], registry=REGISTRY)
SECONDS = Histogram(
    "nerq_http_request_duration_seconds",
    "Time from a request's head to the end of its answer.",
    ["method", "route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
IN_PROGRESS = Gauge(
    "nerq_http_requests_in_progress", "Requests being answered.", registry=REGISTRY, multiprocess_mode="livesum"
)
TEXTS = Counter("nerq_http_texts", "Texts answered, by how.", ["outcome"], registry=REGISTRY)
CHARACTERS = Counter("nerq_http_text_characters", "Characters of the texts that were answered.", registry=REGISTRY)


@router.get("/metrics", include_in_schema=False)
async def metrics() -> Response:
    """Return the metrics of all of the gateway's processes."""
    registry = REGISTRY
    if FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
