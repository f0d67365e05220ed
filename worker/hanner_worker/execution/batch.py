"""One batch in a pool process: validate it, run the model on all texts, store the results, report to the parent.

Reports to the parent contain no text. Each distinct text of a batch is inferred once.
"""

import logging
import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from traceback import format_tb
from typing import TYPE_CHECKING, Any, NamedTuple

from celery import states
from celery.exceptions import SoftTimeLimitExceeded

from hanner.contract import EXTRACT
from hanner.errors import HannerError, InvalidText, ModelFailed, TimedOut
from hanner.results import Entity
from hanner_inference.memory import HeapTrimmer
from hanner_worker.context import WorkerContext, get_context
from hanner_worker.delivery.completion import Completer
from hanner_worker.delivery.inflight import Completion, Outcome
from hanner_worker.delivery.results import make_dead_letter
from hanner_worker.execution.cache import EntityCache, make_cache
from hanner_worker.payload import TaskPayload, load_payloads

if TYPE_CHECKING:  # numpy, which only a worker has
    from hanner_inference.pipeline import Recogniser

logger = logging.getLogger(__name__)

INTERNAL_ERROR = "internal_error"
"""Code of an error that has none in the contract."""

Finding = list[Entity] | HannerError
"""The entities of one text, or its error."""
Validated = list[tuple[Any, InvalidText | None]] | InvalidText
"""A request's texts with their errors, or the error of the whole request."""


_OUTCOMES = {outcome.value: outcome for outcome in Outcome}


class RequestResult(NamedTuple):
    """The outcome of one request, for the parent.

    Attributes:
        outcome: how it ended, or why it has not.
        summary: its result without the text, for events and logs.
        code: code of its error, if it failed; Celery's state, if a failure was stored for it already.
        progress: what was found before it was interrupted, for the process that continues it.
    """

    outcome: Outcome
    summary: str = ""
    code: str = ""
    progress: bytes = b""


class BatchReport(NamedTuple):
    """The report on a batch, for the parent.

    Attributes:
        results: one per request, in order.
        runtime: seconds from the start until all results were stored.
        stats: the cost of the model's runs; see BatchInference.answer.
    """

    results: list[RequestResult]
    runtime: float
    stats: Mapping[str, float]

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickle needs: plain tuples, which take a fifth of the time."""
        results = [(result.outcome.value, *result[1:]) for result in self.results]
        return _load_report, (results, self.runtime, self.stats)


def _load_report(results: list[tuple[Any, ...]], runtime: float, stats: Mapping[str, float]) -> BatchReport:
    return BatchReport([RequestResult(_OUTCOMES[value], *rest) for value, *rest in results], runtime, stats)


class Answer(NamedTuple):
    """The result of one request.

    Attributes:
        result: the document to store, or the error with which the request failed.
        summary: the same for events and logs, without the text.
    """

    result: dict[str, Any] | BaseException
    summary: str


class Interrupted(NamedTuple):
    """A request whose texts are not all answered, because its batch was interrupted.

    Attributes:
        progress: what was found so far, pickled: the WindowSpans of each text, or None.
    """

    progress: bytes


_heap_trimmer = HeapTrimmer()


def run_batch(worker_id: str, payloads: bytes, part_tokens: int = 0) -> BatchReport:
    """Run a batch; this is the function of the pool's jobs.

    Args:
        worker_id: the worker that owns the messages.
        payloads: the requests, see `load_payloads`.
        part_tokens: tokens after which the batch is interrupted if an interactive request waits; 0: never.
    """
    context = get_context()
    if context.inflight.worker_id != worker_id:  # a process that was not forked has made one of its own
        context = replace(context, inflight=replace(context.inflight, worker_id=worker_id))
    report = Batch(context, load_payloads(payloads), part_tokens).run()
    _heap_trimmer.after_batch()
    return report


def run_task(payload: TaskPayload) -> dict[str, Any]:
    """Return the result of one request that runs alone, without a batch.

    Raises:
        HannerError: the request failed.
    """
    answer = make_inference(get_context()).answer([payload])[0][0]
    assert isinstance(answer, Answer)  # it is never interrupted
    if isinstance(answer.result, BaseException):
        raise answer.result
    return answer.result


def make_inference(context: WorkerContext, cache: EntityCache | None = None, part_tokens: int = 0) -> "BatchInference":
    """Return an object that answers requests with the context's model; `part_tokens` as in `run_batch`."""
    settings = context.settings
    return BatchInference(
        context.recogniser,
        context.model,
        settings.max_text_chars,
        settings.log_text,
        (SoftTimeLimitExceeded,),
        cache,
        context.interactive_waits.is_set if part_tokens else None,
        part_tokens,
    )


class Batch:
    """One batch in its pool process.

    Args:
        context: the model and the settings.
        payloads: the requests.
        part_tokens: as in `run_batch`.
    """

    def __init__(self, context: WorkerContext, payloads: Sequence[TaskPayload], part_tokens: int = 0) -> None:
        self._context = context
        self._backend = context.app.backend
        self._payloads = payloads
        self._part_tokens = part_tokens
        self._cache = make_cache(context)
        self._results: list[RequestResult | None] = [None] * len(payloads)
        self._replace: set[int] = set()

    def run(self) -> BatchReport:
        """Answer the requests and store the results; report when all that could be stored are."""
        started = time.monotonic()
        stats: Mapping[str, float] = {}
        try:
            pending, answered = self._start()
            inference = make_inference(self._context, self._cache, self._part_tokens)
            found, stats = inference.answer([self._payloads[n] for n in pending])
            answers = {}
            for n, answer in zip(pending, found, strict=True):
                if isinstance(answer, Interrupted):
                    self._results[n] = RequestResult(Outcome.INTERRUPTED, progress=answer.progress)
                else:
                    answers[n] = answer
            self._complete(answers, answered)
            if self._cache is not None:
                self._cache.flush()
        except SoftTimeLimitExceeded:
            self._on_soft_time_limit()
        results = [result or RequestResult(Outcome.NOT_STORED) for result in self._results]
        return BatchReport(results, time.monotonic() - started, stats)

    def _start(self) -> tuple[list[int], dict[int, RequestResult]]:
        """Return which requests need an answer, and the results of those that are answered already."""
        pending, answered = [], {}
        for n, (outcome, state) in enumerate(self._context.inflight.start(self._backend, self._payloads)):
            if outcome is Outcome.FENCED:
                self._results[n] = RequestResult(outcome)
            elif outcome is Outcome.ALREADY_ANSWERED:
                answered[n] = RequestResult(outcome, "answered before", "" if state == states.SUCCESS else state)
            else:
                pending.append(n)
                if state:  # something is stored that is not an answer
                    self._replace.add(n)
        return pending, answered

    def _complete(self, answers: Mapping[int, Answer], answered: Mapping[int, RequestResult]) -> None:
        """Store the answers, send what follows, acknowledge, and set the results of those that Redis has completed."""
        results = dict(answered)
        completions = [Completion(self._payloads[n], answered[n].outcome, store_result=False) for n in answered]
        for n, answer in answers.items():
            completion = self._make_completion(n, answer)
            code = error_code(answer.result) if isinstance(answer.result, BaseException) else ""
            results[n] = RequestResult(completion.outcome, answer.summary, code)
            completions.append(completion)
        outcomes = Completer(self._context.app, self._context.inflight).complete(completions)
        for (n, result), outcome in zip(results.items(), outcomes, strict=True):
            if outcome in {Outcome.FENCED, Outcome.NOT_STORED}:
                self._results[n] = RequestResult(outcome)
            elif outcome is Outcome.FAILED and not result.code:
                self._results[n] = RequestResult(outcome, "its next step cannot be sent", INTERNAL_ERROR)
            else:
                self._results[n] = result

    def _make_completion(self, n: int, answer: Answer) -> Completion:
        payload, result = self._payloads[n], answer.result
        return Completion(
            payload,
            Outcome.FAILED if isinstance(result, BaseException) else Outcome.OK,
            result,
            make_dead_letter(payload, result) if isinstance(result, ModelFailed) else None,
            store_result=not payload.ignore_result,
            replace=n in self._replace,
        )

    def _on_soft_time_limit(self) -> None:
        """End the requests that have not ended: one that was alone has failed, others are retried alone."""
        if len(self._payloads) > 1:
            self._results = [result or RequestResult(Outcome.RETRY_ISOLATED) for result in self._results]
        elif self._results[0] is None:
            reason = "the soft time limit of the request passed while it ran; raise the limit, or shorten the text"
            self._complete({0: _failure(TimedOut(reason))}, {})


@dataclass(frozen=True, slots=True)
class BatchInference:
    """Answers requests with one model.

    Attributes:
        recogniser: the open model.
        model: NAME@DIGEST8, as results carry it.
        max_chars: maximum number of code points in a text.
        log_text: texts and entities may be logged.
        fatal_errors: errors of the recogniser that are not about a text, and are raised.
        cache: entities of texts that were inferred before, if there is a cache.
        is_interrupted: returns whether to interrupt the batch; None if it must not be interrupted.
        part_tokens: tokens after which `is_interrupted` is called.
    """

    recogniser: "Recogniser"
    model: str
    max_chars: int
    log_text: bool = False
    fatal_errors: tuple[type[Exception], ...] = ()
    cache: EntityCache | None = None
    is_interrupted: Callable[[], bool] | None = None
    part_tokens: int = 0

    def answer(self, payloads: Sequence[TaskPayload]) -> tuple[list[Answer | Interrupted], dict[str, float]]:
        """Return the answers to all requests, in order, and statistics. Some are Interrupted if the batch was.

        These are the sums of the model's RunStats; `repeated`, the texts that equal another one of the batch; `cached`,
        the distinct texts found in the cache; and `failed`, if there are any, the texts of valid requests that have an
        error. An invalid request fails alone. If the model fails on all texts together, each half is tried, and so on
        down to the text that it fails on.
        """
        requests = [self._validate(payload) for payload in payloads]
        valid = [request for request in requests if not isinstance(request, InvalidText)]
        stats: Counter[str] = Counter()
        spans = _read_progress(zip(payloads, requests, strict=True))
        found = self._find([text for request in valid for text, error in request if error is None], stats, spans)
        answers: list[Answer | Interrupted] = []
        for payload, request in zip(payloads, requests, strict=True):
            if isinstance(request, InvalidText):
                answers.append(_failure(request))
                continue
            if any(error is None and text not in found for text, error in request):
                answers.append(Interrupted(pickle.dumps([spans.get(text) for text, _ in request])))
                continue
            findings = [found[text] if error is None else error for text, error in request]
            if failed := sum(isinstance(finding, HannerError) for finding in findings):
                stats["failed"] += failed
            answers.append(self._make_answer(payload.task, [text for text, _ in request], findings))
        return answers, dict(stats)

    def _validate(self, payload: TaskPayload) -> Validated:
        try:
            return payload.validate(self.max_chars)
        except InvalidText as error:
            return error

    def _find(self, texts: list[str], stats: Counter[str], spans: dict[str, Any]) -> Mapping[str, Finding]:
        """Return entities or error by text; a text that is cached or occurs twice is not inferred again.

        An interrupted batch lacks some texts, and has the spans that were found in `spans`.
        """
        distinct = list(dict.fromkeys(texts))
        cached = {} if self.cache is None else dict(self.cache.get(distinct))
        new = [text for text in distinct if text not in cached]
        found = self._infer_part(new, stats, spans)
        if found is None:
            found = dict(zip(new, self._infer(new, stats), strict=True))
        if self.cache is not None:
            self.cache.put({text: entities for text, entities in found.items() if isinstance(entities, list)})
        stats.update(repeated=len(texts) - len(distinct), cached=len(cached))
        return cached | found

    def _infer_part(self, texts: list[str], stats: Counter[str], spans: dict[str, Any]) -> dict[str, Finding] | None:
        """Return what is found until the interruption; None if it must not be interrupted, or the model fails."""
        if self.is_interrupted is None or not texts:
            return None
        from hanner_inference.pipeline import Interruption  # noqa: PLC0415 - imports numpy

        try:
            found, run_stats = self.recogniser.run_until(
                texts, Interruption(self.is_interrupted, self.part_tokens, spans)
            )
        except self.fatal_errors:
            raise
        except Exception as error:  # noqa: BLE001 - the other texts must be answered
            self._log_failure(error, len(texts))
            return None
        stats.update(asdict(run_stats))
        return dict(found)

    def _infer(self, texts: list[str], stats: Counter[str]) -> Sequence[Finding]:
        if not texts:
            return []
        try:
            entities, run_stats = self.recogniser.run(texts)
            if len(entities) != len(texts):
                raise ModelFailed(f"{len(texts)} texts went in and {len(entities)} came out")  # noqa: TRY301
        except self.fatal_errors:
            raise
        except Exception as error:  # noqa: BLE001 - the other texts must be answered
            self._log_failure(error, len(texts))
            if len(texts) == 1:
                return [ModelFailed()]
            half = len(texts) // 2
            return [*self._infer(texts[:half], stats), *self._infer(texts[half:], stats)]
        if is_dataclass(run_stats) and not isinstance(run_stats, type):
            stats.update(asdict(run_stats))
        return entities

    def _log_failure(self, error: Exception, texts: int) -> None:
        # An exception's message may quote the text, so only its type and traceback are logged.
        message = f": {error}" if self.log_text else ""
        traceback = "".join(format_tb(error.__traceback__))
        logger.error("the model failed on %d texts with %s%s\n%s", texts, type(error).__name__, message, traceback)

    def _make_answer(self, task: str, texts: list[Any], findings: list[Finding]) -> Answer:
        if task != EXTRACT:
            result: dict[str, Any] = {"documents": [_document(finding) for finding in findings], "model": self.model}
        elif isinstance(findings[0], HannerError):
            return _failure(findings[0])
        else:
            result = _document(findings[0]) | {"model": self.model}
        return Answer(result, repr(result) if self.log_text else _summary(texts, findings))


def _read_progress(requests: Iterable[tuple[TaskPayload, Validated]]) -> dict[str, Any]:
    """Return what was found in the texts of requests that were interrupted before, by text."""
    spans: dict[str, Any] = {}
    for payload, request in requests:
        if payload.progress and not isinstance(request, InvalidText):
            found = pickle.loads(payload.progress)  # noqa: S301 - made by a process of this worker
            spans |= {text: each for (text, _), each in zip(request, found, strict=True) if each is not None}
    return spans


def _failure(error: HannerError) -> Answer:
    return Answer(error.with_traceback(None), repr(error))


def _summary(texts: list[Any], findings: list[Finding]) -> str:
    """Return how much was found, without the text."""
    entities = sum(len(finding) for finding in findings if isinstance(finding, list))
    characters = sum(len(text) for text in texts if isinstance(text, str))
    return f"{entities} entities, {characters} characters"


def _document(finding: Finding) -> dict[str, Any]:
    if isinstance(finding, HannerError):
        return {"error": {"code": str(finding.code), "message": str(finding)}}
    return {"entities": finding}


def error_code(error: BaseException) -> str:
    """Return the code of the error with which a request failed: one of ErrorCode, or INTERNAL_ERROR."""
    code = getattr(error, "code", None) if isinstance(error, HannerError) else None
    return INTERNAL_ERROR if code is None else str(code)
