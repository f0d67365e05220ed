"""The Prometheus metrics of batches and requests, updated once per batch in the worker's parent.

The buckets of the histograms cover the ranges that were measured, see docs/how-to/observability.md. With
hanner-small, a single short text waits 3 ms and runs 2 ms, and 64 texts sent together wait 0.2 s. A full batch of a
base-size model runs for 1 to 2 s, and a long queue lasts minutes.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from celery import signals, states
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from hanner.contract import ErrorCode
from hanner_worker.delivery.inflight import Completion, Outcome
from hanner_worker.execution.batch import INTERNAL_ERROR, error_code
from hanner_worker.observability.hooks import BatchRecord, Observer

OK: Final = "ok"
ANSWERED_BEFORE: Final = "answered_before"
"""Outcome of a request that was delivered again although its result is stored."""
OUTCOMES: Final = (
    OK,
    ErrorCode.INVALID_TEXT,
    ErrorCode.TIMED_OUT,
    ErrorCode.MODEL_FAILED,
    ErrorCode.WORKER_LOST,
    ErrorCode.EXPIRED,
    ErrorCode.REVOKED,
    INTERNAL_ERROR,
    ANSWERED_BEFORE,
)
DEAD_LETTER_CODES: Final = (ErrorCode.MODEL_FAILED, ErrorCode.TIMED_OUT, ErrorCode.WORKER_LOST, INTERNAL_ERROR)
LOSS_REASONS: Final = ("process_died", "time_limit", "terminated")
REDELIVERY_REASONS: Final = (*LOSS_REASONS, "not_stored", "lease_expired", "unacked_too_long", "connection_lost")
DEAD_LETTER_LIMITS: Final = ("age", "count")
STAGES: Final = ("tokenise", "infer", "decode")

# Upper bounds of the histograms' buckets; times are in seconds.
WAIT_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
)  # fmt: skip
RUNTIME_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
STAGE_BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
)  # fmt: skip
TEXT_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TOKEN_BUCKETS: Final = (32, 64, 128, 256, 512, 1024, 1536, 2048, 4096, 8192, 32768, 131072)
"""The default limit is 2048 without padding; one long text may exceed any limit."""
PADDING_BUCKETS: Final = (0.0, 0.01, 0.02, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5)
"""A process groups windows so that each run of the model has at most a tenth."""


class MetricsObserver(Observer):
    """Updates the metrics of batches and requests.

    Args:
        registry: registry of the metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, help_text: str) -> Counter:
            return Counter(f"hanner_worker_{name}", help_text, registry=registry)

        def counters(name: str, help_text: str, label: str, values: Sequence[str]) -> Mapping[str, Counter]:
            """Return one counter per value. All of them exist from the start, so that the first increase is seen."""
            family = Counter(f"hanner_worker_{name}", help_text, [label], registry=registry)
            return {str(value): family.labels(str(value)) for value in values}

        self._requests = counters("requests", "Completed requests, by outcome.", "outcome", OUTCOMES)
        self._texts = counter("texts", "Texts in finished batches.")
        self._characters = counter("text_characters", "Characters of these texts.")
        self._failed = counter("texts_failed", "Texts that have an error instead of entities.")
        self._repeated = counter("texts_repeated", "Texts that are equal to another text of their batch.")
        self._cached = counter("cache_hits", "Texts answered from the cache of HANNER_CACHE_TTL.")
        self._windows = counter("windows", "Windows of text that the model processed.")
        self._tokens = counter("tokens", "Tokens that the model processed, without padding.")
        self._padding = counter("padding_tokens", "Padding tokens that the model processed.")
        self._redeliveries = counters("redeliveries", "Retried requests, by reason.", "reason", REDELIVERY_REASONS)
        self._interrupted = counter(
            "requests_interrupted", "Bulk requests that were interrupted for interactive ones, and continued later."
        )
        self._lost = counters(
            "batches_lost", "Batches whose process did not report, by reason.", "reason", LOSS_REASONS
        )
        self._dead_letters = counters("dead_letters", "Dead letters, by error code.", "code", DEAD_LETTER_CODES)
        self._dead_letters_deleted = counters(
            "dead_letters_deleted",
            "Dead letters deleted because of a limit: age or count.",
            "limit",
            DEAD_LETTER_LIMITS,
        )
        self._make_histograms(registry)
        signals.task_revoked.connect(self._on_revoked, weak=False)

    def _make_histograms(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, help_text: str, bounds: Sequence[float]) -> Histogram:
            return Histogram(f"hanner_worker_{name}", help_text, buckets=bounds, registry=registry)

        self._batch_texts = histogram("batch_texts", "Texts in a batch.", TEXT_BUCKETS)
        self._batch_tokens = histogram(
            "batch_tokens", "Tokens of a batch, with padding; 0 if all texts were cached.", TOKEN_BUCKETS
        )
        self._batch_padding = histogram(
            "batch_padding_ratio", "Share of a batch's tokens that was padding, 0 to 1.", PADDING_BUCKETS
        )
        self._batch_seconds = histogram(
            "batch_duration_seconds",
            "Time from the start of a batch in its process until all results are stored.",
            RUNTIME_BUCKETS,
        )
        stages = Histogram(
            "hanner_worker_stage_duration_seconds",
            "Time to tokenise, infer and decode a batch.",
            ["stage"],
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self._stages = {stage: stages.labels(stage) for stage in STAGES}
        self._waits = BatchHistogram(
            "hanner_worker_queue_wait_seconds",
            "Time from sending a request until its batch starts, by the clock of Redis.",
            WAIT_BUCKETS,
            registry,
        )
        self._latencies = BatchHistogram(
            "hanner_worker_request_duration_seconds",
            "Time from sending a request until its result is stored, by the clock of Redis.",
            WAIT_BUCKETS,
            registry,
        )

    def on_batch(self, record: BatchRecord) -> None:
        """Record a batch that was reported or lost."""
        if record.loss:
            self._lost[record.loss].inc()
            self._redeliveries[record.loss].inc(record.retried)
            self._requests[ANSWERED_BEFORE].inc(record.answered)
            return
        waits = record.total_waits()
        self._waits.observe(waits)
        self._latencies.observe([wait + record.runtime for wait in waits])
        self._interrupted.inc(record.interrupted)
        self._count_outcomes(record)
        self._measure(record)

    def _count_outcomes(self, record: BatchRecord) -> None:
        answered = 0
        for outcome, _, code, _ in record.results:
            if outcome is Outcome.OK:
                answered += 1
            elif outcome is Outcome.FAILED:
                # The dead letter of a failure of the model was stored together with its result.
                self._count_end(code, dead=code == ErrorCode.MODEL_FAILED)
            elif outcome is Outcome.ALREADY_ANSWERED:
                if code != states.REVOKED:  # that is counted by Celery's signal
                    self._count_end(ANSWERED_BEFORE, dead=False)
            elif outcome is Outcome.NOT_STORED:
                self._redeliveries["not_stored"].inc()
            elif outcome is Outcome.RETRY_ISOLATED:
                self._redeliveries["time_limit"].inc()
        self._requests[OK].inc(answered)

    def _measure(self, record: BatchRecord) -> None:
        stats = record.stats
        texts = sum(request.size.texts for request in record.requests)
        tokens, padded = stats.get("tokens", 0), stats.get("padded_tokens", 0)
        self._texts.inc(texts)
        self._characters.inc(sum(request.size.characters for request in record.requests))
        self._failed.inc(stats.get("failed", 0))
        self._repeated.inc(stats.get("repeated", 0))
        self._cached.inc(stats.get("cached", 0))
        self._windows.inc(stats.get("windows", 0))
        self._tokens.inc(tokens)
        self._padding.inc(padded - tokens)
        self._batch_texts.observe(texts)
        self._batch_tokens.observe(padded)
        self._batch_seconds.observe(record.runtime)
        if padded:  # the model ran
            self._batch_padding.observe(1 - tokens / padded)
            for stage, seconds in self._stages.items():
                seconds.observe(stats.get(stage, 0.0))

    def on_completed(self, completions: Sequence[Completion]) -> None:
        """Record requests that the parent completed itself: dead letters, and messages that are not requests."""
        for completion in completions:
            self._count_end(error_code(completion.result), dead=completion.dead_letter is not None)

    def _count_end(self, code: str, *, dead: bool) -> None:
        """Count a request that failed. This must not raise: the request's result is already stored."""
        self._requests.get(code, self._requests[INTERNAL_ERROR]).inc()
        if dead:
            self._dead_letters.get(code, self._dead_letters[INTERNAL_ERROR]).inc()

    def on_requeue(self, reason: str, requests: int) -> None:
        """Record requests that were requeued."""
        self._redeliveries[reason].inc(requests)

    def on_dead_letters_deleted(self, limit: str, letters: int) -> None:
        """Record deleted dead letters."""
        self._dead_letters_deleted[limit].inc(letters)

    def _on_revoked(self, *, expired: bool = False, **_: Any) -> None:
        self._requests[ErrorCode.EXPIRED if expired else ErrorCode.REVOKED].inc()


class BatchHistogram(Collector):
    """A histogram without labels that observes many values per call; one thread may observe while another one reads.

    prometheus_client's histogram takes a lock and searches the bucket for each value, which is slower.

    Args:
        name: name of the metric, with its unit.
        help_text: help text of the metric.
        bounds: upper bounds of the buckets, ascending; +Inf is added.
        registry: registry of the metric.
    """

    def __init__(self, name: str, help_text: str, bounds: Sequence[float], registry: CollectorRegistry) -> None:
        self._name, self._help_text = name, help_text
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()
        registry.register(self)

    def observe(self, values: Sequence[float]) -> None:
        """Count all values."""
        bounds, counts = self._bounds, self._counts
        with self._lock:
            for value in values:
                counts[bisect_left(bounds, value)] += 1
            self._sum += sum(values)

    def collect(self) -> Iterator[Metric]:
        """Yield the current state of the histogram."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        family = HistogramMetricFamily(self._name, self._help_text)
        family.add_metric([], list(zip(names, accumulate(counts), strict=True)), total)
        yield family


def register_info(registry: CollectorRegistry, version: str, model: str, engine: str, queue: str) -> None:
    """Register the metrics whose labels name the version and the model of this worker."""
    build = Gauge("hanner_build_info", "Always 1; the version of hanner.", ["version"], registry=registry)
    build.labels(version).set(1)
    loaded = Gauge(
        "hanner_model_info", "Always 1; the model of this worker.", ["model", "engine", "queue"], registry=registry
    )
    loaded.labels(model, engine, queue).set(1)
