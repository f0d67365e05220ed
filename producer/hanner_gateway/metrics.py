"""The gateway's Prometheus metrics: what each process counts, and their text format.

With several processes they share files in PROMETHEUS_MULTIPROC_DIR, which `hanner gateway` sets.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import metadata

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from starlette.requests import ClientDisconnect

from hanner.errors import HannerError
from hanner.queue.metrics import queue_metrics
from hanner.queue.stats import Backlog
from hanner.results import Document
from hanner.settings import Settings
from hanner_gateway.problems import STOPPING

MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client's own variable."""

REGISTRY = CollectorRegistry()
REQUESTS = Counter("hanner_http_requests", "Answered requests.", ["method", "route", "status"], registry=REGISTRY)
SECONDS = Histogram(
    "hanner_http_request_duration_seconds",
    "Time from the request's headers to the end of its response.",
    ["method", "route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
IN_PROGRESS = Gauge(
    "hanner_http_requests_in_progress", "Requests in progress.", registry=REGISTRY, multiprocess_mode="livesum"
)
TEXTS = Counter("hanner_http_texts", "Processed texts, by outcome.", ["outcome"], registry=REGISTRY)
CHARACTERS = Counter("hanner_http_text_characters", "Characters of processed texts.", registry=REGISTRY)

OK = "ok"
DISCONNECTED = "client_disconnected"
"""The outcome of texts whose client disconnected before the result."""


def mark_exited() -> None:
    """Remove this process from the gauges that sum live processes; call it when the process exits."""
    if MULTIPROCESS_DIR in os.environ:
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def count_texts(texts: Sequence[str]) -> Iterator[Callable[[Iterable[Document]], None]]:
    """Count texts by outcome. Yields a function that takes their documents; an exception counts for all of them."""
    outcome = "internal_error"

    def count(documents: Iterable[Document]) -> None:
        nonlocal outcome
        outcome = OK
        for document in documents:
            TEXTS.labels(document.error.code if document.error else OK).inc()

    try:
        yield count
    except HannerError as error:
        outcome = str(error.code or outcome)
        raise
    except ClientDisconnect:
        outcome = DISCONNECTED
        raise
    except asyncio.CancelledError:
        outcome = STOPPING
        raise
    finally:
        CHARACTERS.inc(sum(map(len, texts)))
        if outcome != OK:
            TEXTS.labels(outcome).inc(len(texts))


def state_metrics(settings: Settings, backlogs: Mapping[str, Backlog | None], unfinished: int | None) -> list[Metric]:
    """Return the metrics that are read for each scrape: version, jobs and queue.

    Args:
        settings: The gateway's settings.
        backlogs: The state of the queue by address of Redis; see `queue_metrics`.
        unfinished: Number of unfinished jobs; None if Redis did not answer.
    """
    version = GaugeMetricFamily("hanner_build_info", "Always 1; the version of hanner.", labels=["version"])
    version.add_metric([metadata.version("hanner")], 1)
    jobs = GaugeMetricFamily("hanner_http_jobs_unfinished", "Unfinished jobs of all gateways.")
    if unfinished is not None:
        jobs.add_metric([], unfinished)
    return [version, jobs, *queue_metrics(settings.queue, settings.max_queue, backlogs)]


def render(families: Iterable[Metric]) -> bytes:
    """Return the metrics of all processes, and these families, in Prometheus's text format."""
    counted = REGISTRY
    if MULTIPROCESS_DIR in os.environ:
        counted = CollectorRegistry()
        MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    read = CollectorRegistry()
    read.register(_Constant(families))
    return generate_latest(counted) + generate_latest(read)


class _Constant(Collector):
    """Metric families that were read for one scrape."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families
