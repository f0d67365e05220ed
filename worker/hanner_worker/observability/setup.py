"""Who watches a worker: metrics and traces, where they are asked for. What is not asked for is not even imported."""

import logging
import os
from typing import Any, Protocol

from hanner.errors import HannerError
from hanner.utils import tracing
from hanner_worker.execution.batch import WorkerContext
from hanner_worker.observability.hooks import Watch, Watches

logger = logging.getLogger(__name__)


class Service(Protocol):
    """Something that runs from when the pool has been forked until the worker ends."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """End."""
        ...


def observe(consumer: Any, held: WorkerContext) -> tuple[Watch, list[Service]]:
    """Return who is told of batches, and what runs beside the pool.

    Args:
        consumer: Celery's consumer.
        held: the model and the settings.

    Raises:
        HannerError: something that is asked for cannot be.
    """
    watches: list[Watch] = []
    services: list[Service] = []
    if held.settings.metrics_port:
        try:
            from hanner_worker.observability.assemble import assemble  # noqa: PLC0415 - nobody else needs prometheus_client
        except ImportError as error:
            raise HannerError(
                f"HANNER_METRICS_PORT is set and {error.name} is missing: pip install 'hanner[worker]'"
            ) from None
        recorder, endpoint = assemble(consumer, held)
        watches.append(recorder)
        services.append(endpoint)
    if tracing.is_enabled(os.environ):
        try:
            from hanner_worker.observability.tracing import Export  # noqa: PLC0415 - nobody else needs OpenTelemetry
        except ImportError as error:
            logger.warning("no traces are sent, %s is missing: pip install 'hanner[otel]'", error.name)
        else:
            export = Export(held.settings.queue, held.model)
            watches.append(export)
            services.append(export)
    return (watches[0] if len(watches) == 1 else Watches(watches)), services
