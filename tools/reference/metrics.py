"""The page of all Prometheus metrics, from the registries of worker and gateway."""

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.metrics import MetricWrapperBase

from hanner.queue.stats import Backlog
from hanner.settings import Settings
from hanner_gateway import metrics as gateway
from hanner_worker.observability.collectors import PoolCollector
from hanner_worker.observability.metrics import REDELIVERY_REASONS, MetricsObserver, register_info
from reference.markdown import code, page, table

INTRODUCTION = """\
# Metrics

Workers and gateways serve these metrics for Prometheus. [Monitoring](../how-to/observability.md) describes how to
enable and use them. No label contains a value that a sender chose. A worker's label values exist from the start, so
that the first failure is an increase and not a new series."""

QUEUE = """\
## The queue

Every worker and every gateway exports these, so that they are available if some of them are down. Aggregate them with
`max`."""

WORKER_NOTES = """\
`outcome` is `ok`, a code of the [errors](errors.md), `internal_error`, or `answered_before`: the request was delivered
again although its result was stored, or its process was lost after it had stored the result. A request with several
texts is `ok` if it has a result; texts in it with an error of their own are counted in
`hanner_worker_texts_failed_total`. `reason` of a redelivery:"""

REASONS = {
    "process_died": "the process died; each text of its batch is retried in its own batch",
    "time_limit": "a hard time limit killed the process, or a soft one ended the batch",
    "terminated": "the process was killed because one request was revoked with `terminate`; the others are retried",
    "not_stored": "Redis accepted no results for 11 seconds; the requests were requeued",
    "lease_expired": "the lease of another worker expired, and this worker requeued its messages",
    "unacked_too_long": "a message was unacknowledged for an hour without running; no known fault leads there",
    "connection_lost": "the connection to Redis was lost; the requests waiting in the worker were requeued",
}
"""The cause of each reason of a redelivery."""

PROCESS = """\
`process_cpu_seconds_total`, `process_resident_memory_bytes` and similar metrics describe the parent process only.

Waiting times are based on `sent_at` in the message header, which hanner's clients set by the clock of Redis, or by
their own if they have never sent a request that expires. If it is missing or in the future, the time counts from when
the worker received the message."""


class Family(NamedTuple):
    """A metric with all its series."""

    name: str
    kind: str
    labels: frozenset[str]
    documentation: str


def render() -> str:
    """Return the page."""
    queue, http = _gateway_families()
    redeliveries = [(code(reason), REASONS[reason]) for reason in REDELIVERY_REASONS]
    return page(
        INTRODUCTION,
        f"{QUEUE}\n\n{_table(queue)}",
        f"## A worker\n\n{_table(_worker_families())}",
        WORKER_NOTES,
        table(["reason", "cause"], redeliveries),
        PROCESS,
        f"## A gateway\n\n{_table(http)}",
        "With `--processes`, the processes of a gateway share their counts.",
    )


def _table(families: Iterable[Family]) -> str:
    rows = [
        (code(each.name), each.kind, ", ".join(sorted(each.labels)), each.documentation)
        for each in sorted(families, key=lambda each: each.name.removesuffix("_total"))
    ]
    return table(["metric", "kind", "labels", "what it is"], rows)


def _gateway_families() -> tuple[list[Family], list[Family]]:
    """Return the families of the queue and those of HTTP, as a gateway serves them."""
    state = gateway.state_metrics(Settings.from_env({}), {"": _backlog()}, 0)
    queue = [_of_metric(metric) for metric in state if not metric.name.startswith("hanner_http_")]
    http = [_of_metric(metric) for metric in state if metric.name.startswith("hanner_http_")]
    return queue, http + list(_of_registry(gateway.REGISTRY))


def _worker_families() -> list[Family]:
    """Return the families of a worker, without those of the queue."""
    registry = CollectorRegistry()
    MetricsObserver(registry)
    register_info(registry, "", "", "", "")
    pool = SimpleNamespace(num_processes=0, _pool=SimpleNamespace(_pool=[]))
    registry.register(PoolCollector(SimpleNamespace(pool=pool)))
    return [each for each in _of_registry(registry) if each.name != "hanner_build_info"]


def _backlog() -> Backlog:
    """Return the state of a queue in which every value is known."""
    return Backlog(interactive_oldest_seconds=0.0, bulk_oldest_seconds=0.0)


def _of_registry(registry: CollectorRegistry) -> Iterator[Family]:
    """Yield the families of a registry, also of metrics with labels that have no samples yet."""
    for collector in registry._collector_to_names:  # noqa: SLF001 - samples do not show the labels of an unused metric
        if isinstance(collector, MetricWrapperBase):
            metric = next(iter(collector.describe()))
            yield Family(_name(metric), metric.type, frozenset(collector._labelnames), metric.documentation)  # noqa: SLF001
        else:
            yield from map(_of_metric, collector.collect())


def _of_metric(metric: Metric) -> Family:
    labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
    return Family(_name(metric), metric.type, frozenset(labels), metric.documentation)


def _name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else str(metric.name)
