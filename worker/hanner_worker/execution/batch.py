"""What a pool process does with one batch: answer it, store all results, report. The parent is told no text."""

import logging
import pickle
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple

from billiard.einfo import ExceptionInfo
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

from hanner.contract import ErrorCode
from hanner.errors import HannerError, ModelFailed
from hanner.settings import Settings
from hanner_inference.memory import HeapTrimmer
from hanner_worker.delivery.inflight import InFlightStore
from hanner_worker.delivery.results import NotStored, Record, ResultStore, Standing
from hanner_worker.execution.answers import Answer, BatchInference, Memory, Recogniser, TaskPayload
from hanner_worker.execution.cache import Cache, Keys

if TYPE_CHECKING:
    from hanner_inference.dictionary.dictionary import Dictionary

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What every pool process inherits from the parent.

    Attributes:
        recogniser: the open model.
        model: NAME@DIGEST8, as results carry it.
        max_length: tokens the model takes at once.
        app: the Celery app, for its backend and tasks.
        settings: the worker's settings.
        keys: names of the model's entries in the cache.
        ledger: what the worker holds of its queue.
    """

    recogniser: Recogniser
    model: str
    max_length: int
    app: Celery
    settings: Settings
    keys: Keys
    ledger: InFlightStore

    def cache(self) -> Cache | None:
        """Return a cache for one batch, if the settings want one; a dictionary reloaded meanwhile counts from here."""
        ttl, keys = self.settings.cache_ttl, self.keys
        if self.dictionary is not None:
            self.dictionary.refresh()
            keys = replace(keys, dictionary=self.dictionary.digest)
        return Cache(lambda: self.app.backend.client, keys, ttl) if ttl else None

    @property
    def dictionary(self) -> "Dictionary | None":
        """The terms that override the model, if there are any."""
        return getattr(self.recogniser, "dictionary", None)

    def answerer(self, memory: Memory | None = None) -> BatchInference:
        """Return what answers requests with this model."""
        settings = self.settings
        return BatchInference(
            self.recogniser, self.model, settings.max_text_chars, settings.log_text, (SoftTimeLimitExceeded,), memory
        )


class Ending(Enum):
    """What became of a request in a pool process."""

    ANSWERED = auto()
    FAILED = auto()
    UNSTORED = auto()
    """Its end could not be stored, so it has none."""
    OUT_OF_TIME = auto()
    """The batch's soft time limit passed; by itself it may have time enough."""
    LOST = auto()
    """Another worker has it now; this one says nothing about it."""


class Outcome(NamedTuple):
    """How a request ended; `summary` goes into events and logs, `code` is its error's, or ANSWERED_BEFORE."""

    ending: Ending
    summary: str = ""
    code: str = ""


class Report(NamedTuple):
    """What the parent learns of a batch.

    Attributes:
        outcomes: one per request, in order.
        runtime: seconds from start until all were stored.
        figures: what the model's runs cost; the fields of `RunStats`.
    """

    outcomes: list[Outcome]
    runtime: float
    figures: Mapping[str, float]


ANSWERED_BEFORE = "answered_before"
"""Code of a request that came again although its result is stored."""
INTERNAL = "internal_error"
"""Code of an error that has none in the contract."""

_held: list[WorkerContext] = []
_known: dict[str, Answer] = {}
_returns = HeapTrimmer()


def set_context(held_: WorkerContext) -> None:
    """Keep the model for this process and all that are forked from it."""
    _held[:] = [held_]


def get_context() -> WorkerContext:
    """Return what was given to `set_context`.

    Raises:
        RuntimeError: nothing was.
    """
    if not _held:
        raise RuntimeError("no model is open in this process; start it with `celery -A hanner_worker worker`")
    return _held[0]


def has_context() -> bool:
    """Tell whether `set_context` was called here or in a process this one was forked from."""
    return bool(_held)


def run_batch(owner: str, works: bytes) -> Report:
    """Answer a batch of requests, pickled by the parent that is `owner`; the target of the pool's jobs."""
    here = get_context()
    if here.ledger.owner != owner:  # a process that was not forked made its own
        here = replace(here, ledger=replace(here.ledger, owner=owner))
    report = Batch(here, pickle.loads(works)).run()  # noqa: S301 - it comes through our own pipe
    _returns.after_batch()
    return report


def answer(work: TaskPayload) -> dict[str, Any]:
    """Return what a task's body returns: the result that its batch has already found, else one found now.

    Raises:
        HannerError: the request fails.
    """
    found = _known.get(work.id) or get_context().answerer().answer([work])[0][0]
    if isinstance(found.result, BaseException):
        raise found.result
    return found.result


class Batch:
    """One batch in its pool process.

    Args:
        held_: the model and its surroundings.
        works: the requests.
        store: where results go; the app's own backend if not given.
    """

    def __init__(self, held_: WorkerContext, works: Sequence[TaskPayload], store: ResultStore | None = None) -> None:
        self._held = held_
        self._works = works
        self._store = store or ResultStore(held_.app.backend, held_.ledger)
        self._cache = held_.cache()
        self._outcomes: list[Outcome | None] = [None] * len(works)
        self._overwrite: set[int] = set()

    def run(self) -> Report:
        """Answer and store; report once all that could be stored is."""
        started = time.monotonic()
        figures: Mapping[str, float] = {}
        try:
            todo, over = self._begin()
            answers, figures = self._held.answerer(self._cache).answer([self._works[n] for n in todo])
            self._settle(dict(zip(todo, answers, strict=True)), over)
            if self._cache is not None:
                self._cache.keep()
        except SoftTimeLimitExceeded as error:
            self._out_of_time(error)
        outcomes = [outcome or Outcome(Ending.UNSTORED) for outcome in self._outcomes]
        return Report(outcomes, time.monotonic() - started, figures)

    def _begin(self) -> tuple[list[int], dict[int, Outcome]]:
        """Return which requests need an answer, and how those end that have one; what is lost gets its end here."""
        works = self._works
        todo, over = [], {}
        for n, standing in enumerate(self._store.begin([w.tag for w in works], [w.id for w in works])):
            if standing is Standing.LOST:
                self._outcomes[n] = Outcome(Ending.LOST)
            elif standing in {Standing.ANSWERED, Standing.FAILED}:
                ending = Ending.ANSWERED if standing is Standing.ANSWERED else Ending.FAILED
                over[n] = Outcome(ending, "answered before", ANSWERED_BEFORE)
            else:
                todo.append(n)
                if standing is Standing.UNREADY:
                    self._overwrite.add(n)
        return todo, over

    def _settle(self, answers: Mapping[int, Answer], over: Mapping[int, Outcome]) -> None:
        """Store the answers, acknowledge, and note each request's end; what cannot be stored stays without one."""
        works = self._works
        ends = dict(over)
        records = [Record(works[n].id, tag=works[n].tag, stored=False) for n in over]
        for n, found in answers.items():
            work = works[n]
            if work.canvas is not None and not self._trace_once(n, found):
                continue
            if isinstance(found.result, BaseException):
                ends[n] = Outcome(Ending.FAILED, found.summary, code_of(found.result))
            else:
                ends[n] = Outcome(Ending.ANSWERED, found.summary)
            records.append(self._record(n, found))
        try:
            still = self._store.store(records)
        except NotStored as error:
            logger.error("%s; the requests go back to the queue", error)  # noqa: TRY400 - the reason is in it
            return
        for (n, outcome), held_ in zip(ends.items(), still, strict=True):
            self._outcomes[n] = outcome if held_ else Outcome(Ending.LOST)

    def _record(self, n: int, found: Answer) -> Record:
        work = self._works[n]
        stored = work.canvas is None and not work.silent
        letter = None
        if isinstance(found.result, ModelFailed):
            letter = dead_letter(work.id, work.task, found.result, work.deaths, time.time())
        return Record(work.id, found.result, work.tag, work.group, work.parent, stored, n in self._overwrite, letter)

    def _trace_once(self, n: int, found: Answer) -> bool:
        """Let Celery end a request if it is still ours: what follows from it must not happen twice."""
        work = self._works[n]
        if self._store.begin([work.tag], [work.id])[0] is Standing.LOST:
            self._outcomes[n] = Outcome(Ending.LOST)
            return False
        return self._trace(work, found)

    def _trace(self, work: TaskPayload, found: Answer) -> bool:
        """Let Celery end a request from which more follows: callbacks, chain, chord. True once it has."""
        task = self._held.app.tasks[work.task]
        args = list(work.args) if isinstance(work.args, list | tuple) else []
        kwargs = dict(work.kwargs) if isinstance(work.kwargs, Mapping) else {}
        with _knowing(work.id, found):
            traced = task.__trace__(work.id, args, kwargs, work.canvas)
        # An internal error is one of storing or sending, not of the task.
        return not (isinstance(traced.retval, ExceptionInfo) and traced.retval.internal)

    def _out_of_time(self, error: SoftTimeLimitExceeded) -> None:
        """End what has no end yet: alone it has failed for good, in company it is tried again alone."""
        if len(self._works) > 1:
            self._outcomes = [outcome or Outcome(Ending.OUT_OF_TIME) for outcome in self._outcomes]
        elif self._outcomes[0] is None:
            self._settle({0: Answer(error.with_traceback(None), repr(error))}, {})


def dead_letter(task_id: str, task: str, error: HannerError, deaths: int, at: float) -> dict[str, Any]:
    """Return a dead letter but for its message; see QueueKeys.dead."""
    code = "" if error.code is None else str(error.code)
    return {"id": task_id, "task": task, "code": code, "reason": str(error), "crashes": deaths, "at": at}


def code_of(error: BaseException) -> str:
    """Return the code of the error that a request failed with, of contract.py's closed set where it has one."""
    if isinstance(error, SoftTimeLimitExceeded):
        return str(ErrorCode.TIMED_OUT)
    code = getattr(error, "code", None) if isinstance(error, HannerError) else None
    return INTERNAL if code is None else str(code)


@contextmanager
def _knowing(task_id: str, found: Answer) -> Iterator[None]:
    _known[task_id] = found
    try:
        yield
    finally:
        del _known[task_id]
