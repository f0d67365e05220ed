"""Composition root of metrics and traces. What is not enabled is not imported, because it is an optional dependency."""

import logging
import os
from importlib import metadata
from typing import Any, Protocol

from hanner.errors import HannerError
from hanner.utils import tracing
from hanner.utils.packaging import install_hint
from hanner_worker.context import WorkerContext
from hanner_worker.observability.hooks import Observer
from hanner_worker.observability.summary import LogSummary

logger = logging.getLogger(__name__)


class Service(Protocol):
    """Something that runs from the fork of the pool until the worker ends."""

    def start(self) -> None:
        """Start the service."""
        ...

    def stop(self) -> None:
        """Stop the service."""
        ...


def setup(consumer: Any, context: WorkerContext) -> tuple[list[Observer], list[Service]]:
    """Return the observers of batches, and the services that the consumer starts and stops.

    Args:
        consumer: Celery's consumer.
        context: the model and the settings.

    Raises:
        HannerError: if metrics are enabled and cannot be served.
    """
    summary = LogSummary()
    observers: list[Observer] = [summary]
    services: list[Service] = [summary]
    if context.settings.metrics_port:
        observer, service = _setup_metrics(consumer, context)
        observers.append(observer)
        services.append(service)
    if tracing.is_enabled(os.environ):
        try:
            from hanner_worker.observability.tracing import TracingObserver  # noqa: PLC0415 - imports OpenTelemetry
        except ImportError as error:
            logger.warning("no traces are sent, %s is missing: %s", error.name, install_hint("otel"))
        else:
            traces = TracingObserver(context.settings.queue, context.model)
            observers.append(traces)
            services.append(traces)
    return observers, services


def _setup_metrics(consumer: Any, context: WorkerContext) -> tuple[Observer, Service]:
    """Return the observer that updates the metrics, and the endpoint that serves them.

    Raises:
        HannerError: if prometheus_client is missing, or the endpoint's address cannot be used.
    """
    try:
        from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics  # noqa: PLC0415
    except ImportError as error:
        raise HannerError(f"HANNER_METRICS_PORT is set and {error.name} is missing: {install_hint('worker')}") from None
    from hanner_worker.observability.collectors import PoolCollector, QueueCollector  # noqa: PLC0415
    from hanner_worker.observability.endpoint import MetricsEndpoint  # noqa: PLC0415
    from hanner_worker.observability.metrics import MetricsObserver, register_info  # noqa: PLC0415

    settings = context.settings
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they would add a third more series
    registry = CollectorRegistry()  # a separate one, without the metrics of other libraries
    register_info(registry, metadata.version("hanner"), context.model, settings.engine, settings.queue)
    observer = MetricsObserver(registry)
    registry.register(PoolCollector(consumer))
    ProcessCollector(registry=registry)
    registry.register(QueueCollector(consumer.hanner_connect, settings.queue, settings.max_queue, context.broker))
    return observer, MetricsEndpoint(registry, settings.metrics_host, settings.metrics_port)
