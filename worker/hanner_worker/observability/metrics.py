"""Counts batches and requests, in the parent process. A batch is recorded at once, so a request costs little."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from celery import signals
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hanner.contract import ErrorCode
from hanner_worker.delivery.results import Record
from hanner_worker.execution.batch import ANSWERED_BEFORE, INTERNAL, Ending, code_of
from hanner_worker.observability import buckets
from hanner_worker.observability.histogram import BatchHistogram
from hanner_worker.observability.hooks import BatchRecord, Watch

OK: Final = "ok"
OUTCOMES: Final = (
    OK,
    ErrorCode.INVALID_TEXT,
    ErrorCode.TIMED_OUT,
    ErrorCode.MODEL_FAILED,
    ErrorCode.WORKER_LOST,
    ErrorCode.EXPIRED,
    ErrorCode.REVOKED,
    INTERNAL,
    ANSWERED_BEFORE,
)
DEAD: Final = (ErrorCode.MODEL_FAILED, ErrorCode.TIMED_OUT, ErrorCode.WORKER_LOST, INTERNAL)
LOST: Final = ("process_died", "time_limit", "terminated")
AGAIN: Final = (*LOST, "not_stored", "lease_lapsed", "held_too_long", "connection_lost")
STAGES: Final = ("tokenise", "infer", "decode")


class Recorder(Watch):
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

    def batch(self, flown: BatchRecord) -> None:
        """Record a batch."""
        if flown.lost:
            self._lost[flown.lost].inc()
            self._again[flown.lost].inc(flown.again)
            return
        waits = flown.total_waits()
        self._waits.observe(waits)
        self._latencies.observe([wait + flown.runtime for wait in waits])
        self._count_outcomes(flown)
        self._measure(flown)

    def _count_outcomes(self, flown: BatchRecord) -> None:
        answered = 0
        for outcome in flown.outcomes:
            if outcome.ending is Ending.ANSWERED and not outcome.code:
                answered += 1
            elif outcome.ending in {Ending.ANSWERED, Ending.FAILED}:
                # A failure of the model was set aside in the step that stored it.
                self._end(outcome.code, dead=outcome.code == ErrorCode.MODEL_FAILED)
            elif outcome.ending is Ending.UNSTORED:
                self._again["not_stored"].inc()
            elif outcome.ending is Ending.OUT_OF_TIME:
                self._again["time_limit"].inc()
        self._requests[OK].inc(answered)

    def _measure(self, flown: BatchRecord) -> None:
        figures = flown.figures
        texts = sum(request.size.texts for request in flown.requests)
        tokens, padded = figures.get("tokens", 0), figures.get("padded_tokens", 0)
        self._texts.inc(texts)
        self._characters.inc(sum(request.size.characters for request in flown.requests))
        self._failed.inc(figures.get("failed", 0))
        self._repeated.inc(figures.get("repeated", 0))
        self._cached.inc(figures.get("cached", 0))
        self._windows.inc(figures.get("windows", 0))
        self._tokens.inc(tokens)
        self._padding.inc(padded - tokens)
        self._batch_texts.observe(texts)
        self._batch_tokens.observe(padded)
        self._batch_seconds.observe(flown.runtime)
        if padded:  # the model ran
            self._batch_padding.observe(1 - tokens / padded)
            for stage, seconds in self._stages.items():
                seconds.observe(figures.get(stage, 0.0))

    def ended(self, records: Sequence[Record]) -> None:
        """Record requests that the parent ended itself: dead letters, and what is no request."""
        for record in records:
            self._end(code_of(record.result), dead=record.letter is not None)

    def _end(self, code: str, *, dead: bool) -> None:
        """Count a request that has no answer. Nothing may fail here: its end is stored already."""
        self._requests.get(code, self._requests[INTERNAL]).inc()
        if dead:
            self._dead.get(code, self._dead[INTERNAL]).inc()

    def again(self, reason: str, requests: int) -> None:
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
