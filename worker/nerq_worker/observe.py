"""Who watches a worker: metrics and traces, where they are asked for. What is not asked for is not even imported."""

import logging
import os
from typing import Any, Protocol

from nerq import tracing
from nerq.errors import NerqError
from nerq_worker.batching.job import Held
from nerq_worker.batching.watch import Watch, Watches

logger = logging.getLogger(__name__)


class Service(Protocol):
    """Something that runs from when the pool has been forked until the worker ends."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """End."""
        ...


def observe(consumer: Any, held: Held) -> tuple[Watch, list[Service]]:
    """Return who is told of batches, and what runs beside the pool.

    Args:
        consumer: Celery's consumer.
        held: the model and the settings.

    Raises:
        NerqError: something that is asked for cannot be.
    """
    watches: list[Watch] = []
    services: list[Service] = []
    if held.settings.metrics_port:
        try:
            from nerq_worker.metrics.assemble import assemble  # noqa: PLC0415 - nobody else needs prometheus_client
        except ImportError as error:
            raise NerqError(
                f"NERQ_METRICS_PORT is set and {error.name} is missing: pip install 'nerq[worker]'"
            ) from None
        recorder, endpoint = assemble(consumer, held)
        watches.append(recorder)
        services.append(endpoint)
    if tracing.is_wanted(os.environ):
        try:
            from nerq_worker.tracing import Export  # noqa: PLC0415 - nobody else needs OpenTelemetry
        except ImportError as error:
            logger.warning("no traces are sent, %s is missing: pip install 'nerq[otel]'", error.name)
        else:
            export = Export(held.settings.queue, held.model)
            watches.append(export)
            services.append(export)
    return (watches[0] if len(watches) == 1 else Watches(watches)), services
