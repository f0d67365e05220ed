"""Composition root of the metrics."""

from importlib import metadata
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics

from hanner_worker.context import WorkerContext
from hanner_worker.observability.collectors import PoolCollector, QueueCollector
from hanner_worker.observability.endpoint import Endpoint
from hanner_worker.observability.metrics import Recorder, tell_model


def assemble(consumer: Any, context: WorkerContext) -> tuple[Recorder, Endpoint]:
    """Return what counts, and what serves the counts once it is started.

    Args:
        consumer: the worker's consumer.
        context: the model and the settings.

    Raises:
        InvalidSettings: nobody can listen at the address that the settings name.
    """
    settings = context.settings
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a third more series, and nobody asks for them
    registry = CollectorRegistry()  # of its own, so that nothing of other libraries is told unasked
    tell_model(registry, metadata.version("hanner"), context.model, settings.engine, settings.queue)
    recorder = Recorder(registry)
    registry.register(PoolCollector(consumer))
    ProcessCollector(registry=registry)
    registry.register(QueueCollector(consumer.hanner_connect, settings.queue, settings.max_queue))
    return recorder, Endpoint(registry, settings.metrics_host, settings.metrics_port)
