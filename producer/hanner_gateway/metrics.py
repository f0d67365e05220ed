"""What the gateway counts for Prometheus. With several processes, they share files that `hanner gateway` names."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import mark_process_dead
from starlette.requests import ClientDisconnect

from hanner.contract import Document
from hanner.errors import HannerError

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

REGISTRY = CollectorRegistry()
REQUESTS = Counter("hanner_http_requests", "Requests answered.", ["method", "route", "status"], registry=REGISTRY)
SECONDS = Histogram(
    "hanner_http_request_duration_seconds",
    "Time from a request's head to the end of its answer.",
    ["method", "route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
IN_PROGRESS = Gauge(
    "hanner_http_requests_in_progress", "Requests being answered.", registry=REGISTRY, multiprocess_mode="livesum"
)
TEXTS = Counter("hanner_http_texts", "Texts answered, by how.", ["outcome"], registry=REGISTRY)
CHARACTERS = Counter("hanner_http_text_characters", "Characters of the texts that were answered.", registry=REGISTRY)

OK = "ok"


def leave() -> None:
    """Count this process no more among those that live, where several share their files."""
    if FOLDER in os.environ:
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def counting(texts: Sequence[str]) -> Iterator[Callable[[Iterable[Document]], None]]:
    """Count texts by how they end. Yields a function that takes their documents; an error counts for all of them."""
    code = "internal_error"

    def counted(documents: Iterable[Document]) -> None:
        nonlocal code
        code = OK
        for document in documents:
            TEXTS.labels(document.error.code if document.error else OK).inc()

    try:
        yield counted
    except HannerError as error:
        code = str(error.code or code)
        raise
    except (ClientDisconnect, asyncio.CancelledError):
        code = "hung_up"
        raise
    finally:
        CHARACTERS.inc(sum(map(len, texts)))
        if code != OK:
            TEXTS.labels(code).inc(len(texts))
