"""Counts batches and requests, in the parent process. A batch is recorded at once, so a request costs little."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from celery import signals
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hanner.contract import ErrorCode
from hanner_worker.delivery.inflight import Completion, Outcome
from hanner_worker.execution.batch import INTERNAL_ERROR, error_code
from hanner_worker.observability import buckets
from hanner_worker.observability.histogram import BatchHistogram
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
DEAD: Final = (ErrorCode.MODEL_FAILED, ErrorCode.TIMED_OUT, ErrorCode.WORKER_LOST, INTERNAL_ERROR)
LOST: Final = ("process_died", "time_limit", "terminated")
AGAIN: Final = (*LOST, "not_stored", "lease_lapsed", "held_too_long", "connection_lost")
STAGES: Final = ("tokenise", "infer", "decode")


class Recorder(Observer):
    """All that is counted as it happens.

    Args:
        registry: where it can be read.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, told: str) -> Counter:
            return Counter(f"hanner_worker_{name}", told, registry=registry)

        def counters(name: str, told: str, label: str, values: Sequence[str]) -> Mapping[str, Counter]:
            """Return one counter for each value; all are there from the start, so that the first rise is seen."""
            made = Counter(f"hanner_worker_{name}", told, [label], registry=registry)
            return {str(value): made.labels(str(value)) for value in values}

        self._requests = counters("requests", "Requests that ended, by how.", "outcome", OUTCOMES)
        self._texts = counter("texts", "Texts in finished batches.")
        self._characters = counter("text_characters", "Characters of those texts.")
        self._failed = counter("texts_failed", "Texts that got an error of their own.")
        self._repeated = counter("texts_repeated", "Texts that another text of their batch was the same as.")
        self._cached = counter("cache_hits", "Texts answered from the cache of HANNER_CACHE_TTL.")
        self._windows = counter("windows", "Windows of text that the model was given.")
        self._tokens = counter("tokens", "Tokens that the model was given, without padding.")
        self._padding = counter("padding_tokens", "Tokens of padding that the model was given besides.")
        self._again = counters("redeliveries", "Requests that are tried once more, by why.", "reason", AGAIN)
        self._lost = counters("batches_lost", "Batches whose process did not report, by why.", "reason", LOST)
        self._dead = counters("dead_letters", "Requests that were set aside, by why.", "code", DEAD)
        self._make_histograms(registry)
        signals.task_revoked.connect(self._on_revoked, weak=False)

    def _make_histograms(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, told: str, bounds: Sequence[float]) -> Histogram:
            return Histogram(f"hanner_worker_{name}", told, buckets=bounds, registry=registry)

        self._batch_texts = histogram("batch_texts", "Texts in a batch.", buckets.TEXTS)
        self._batch_tokens = histogram(
            "batch_tokens", "Tokens of a batch, with padding; 0 if all was cached.", buckets.TOKENS
        )
        self._batch_padding = histogram(
            "batch_padding_ratio", "Share of a batch's tokens that was padding, 0 to 1.", buckets.PADDING
        )
        self._batch_seconds = histogram(
            "batch_duration_seconds", "Time from a batch's start in its process until all is stored.", buckets.RUNS
        )
        stages = Histogram(
            "hanner_worker_stage_duration_seconds",
            "Time that a batch took to be tokenised, inferred and decoded.",
            ["stage"],
            buckets=buckets.STAGES,
            registry=registry,
        )
        self._stages = {stage: stages.labels(stage) for stage in STAGES}
        self._waits = BatchHistogram(
            "hanner_worker_queue_wait_seconds",
            "Time from a request's sending until its batch went to a process; by its sender's clock.",
            buckets.WAITS,
            registry,
        )
        self._latencies = BatchHistogram(
            "hanner_worker_request_duration_seconds",
            "Time from a request's sending until its result was stored; by its sender's clock.",
            buckets.WAITS,
            registry,
        )

    def on_batch(self, record: BatchRecord) -> None:
        """Record a batch."""
        if record.loss:
            self._lost[record.loss].inc()
            self._again[record.loss].inc(record.retried)
            return
        waits = record.total_waits()
        self._waits.observe(waits)
        self._latencies.observe([wait + record.runtime for wait in waits])
        self._count_outcomes(record)
        self._measure(record)

    def _count_outcomes(self, record: BatchRecord) -> None:
        answered = 0
        for outcome, _, code in record.results:
            if outcome is Outcome.OK:
                answered += 1
            elif outcome is Outcome.FAILED:
                # The dead letter of a failure of the model was stored together with it.
                self._end(code, dead=code == ErrorCode.MODEL_FAILED)
            elif outcome is Outcome.ALREADY_ANSWERED:
                self._end(ANSWERED_BEFORE, dead=False)
            elif outcome is Outcome.NOT_STORED:
                self._again["not_stored"].inc()
            elif outcome is Outcome.RETRY_ISOLATED:
                self._again["time_limit"].inc()
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
        """Record requests that the parent ended itself: dead letters, and messages that are not requests."""
        for completion in completions:
            self._end(error_code(completion.result), dead=completion.dead_letter is not None)

    def _end(self, code: str, *, dead: bool) -> None:
        """Count a request that has no answer. Nothing may fail here: its end is stored already."""
        self._requests.get(code, self._requests[INTERNAL_ERROR]).inc()
        if dead:
            self._dead.get(code, self._dead[INTERNAL_ERROR]).inc()

    def on_requeue(self, reason: str, requests: int) -> None:
        """Record requests that go back to the queue."""
        self._again[reason].inc(requests)

    def _on_revoked(self, *, expired: bool = False, **_: Any) -> None:
        self._requests[ErrorCode.EXPIRED if expired else ErrorCode.REVOKED].inc()


def tell_model(registry: CollectorRegistry, version: str, model: str, engine: str, queue: str) -> None:
    """Let `registry` say what runs here."""
    Gauge("hanner_build_info", "Always 1; the version that runs.", ["version"], registry=registry).labels(version).set(
        1
    )
    about = Gauge(
        "hanner_model_info", "Always 1; the model that a worker holds.", ["model", "engine", "queue"], registry=registry
    )
    about.labels(model, engine, queue).set(1)
