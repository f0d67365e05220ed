"""One batch on its way through the pool: what comes of it, told to each of its requests. Runs in the parent."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, TimeLimitExceeded
from celery.worker import state

from hanner.errors import HannerError, TimedOut, WorkerLost
from hanner_worker.batching.request import MAX_DEATHS, BatchRequest
from hanner_worker.execution.batch import Ending, Outcome, Report, run_batch
from hanner_worker.observability.hooks import BatchRecord

if TYPE_CHECKING:
    from hanner_worker.batching.dispatcher import Dispatcher

logger = logging.getLogger(__name__)


class BatchRun:
    """One batch on its way: a single job of the pool, its callbacks fanned out to the requests.

    Attributes:
        doubtful: the connection was lost meanwhile. A Redis that lost its last second may have taken back what it
            said had ended; then the messages are held again, and go back to the queue when the report is here.
    """

    def __init__(self, dispatcher: "Dispatcher", number: int, requests: list[BatchRequest], now: float) -> None:
        self.requests = requests
        self._dispatcher = dispatcher
        self._number = number
        self._left = time.time()
        self._waits = [now - request.arrived for request in requests]
        self._job: Any = None
        self.doubtful = False
        self._hard = self._limit(0, "time_limit")
        for request, waited in zip(requests, self._waits, strict=True):
            request.board(number, len(requests), waited)

    def _limit(self, position: int, default: str) -> float | None:
        """Return the smallest time limit of the requests, in seconds; position 0 is hard, 1 is soft."""
        limits = [(request.time_limits or (None, None))[position] for request in self.requests]
        limits = [limit or getattr(request.task, default) for limit, request in zip(limits, self.requests, strict=True)]
        return min((limit for limit in limits if limit), default=None)

    def start(self, pool: Any, owner: str, works: bytes) -> bool:
        """Hand the batch to the pool; False if it takes none any more."""
        self._job = pool.apply_async(
            run_batch,
            args=(owner, works),
            accept_callback=self._on_accepted,
            callback=self._on_report,
            error_callback=self._on_error,
            timeout_callback=self._on_timeout,
            soft_timeout=self._limit(1, "soft_time_limit"),
            timeout=self._hard,
        )
        return self._job is not None

    def secure(self) -> None:
        """Let the pool count a batch as accepted once it is on its way to a process.

        Else the pool forgets it on a lost connection and at a stop, and the process, which runs it all the same,
        waits for half a minute that somebody reads its report.
        """
        if self._job._write_to is not None:  # noqa: SLF001 - the process, from the first byte on
            self._job._accepted = True  # noqa: SLF001

    def is_in_pool(self) -> bool:
        """Tell whether the pool still answers for this batch."""
        return self._job._job in self._job._cache  # noqa: SLF001 - the pool says so nowhere else

    def _on_accepted(self, pid: int, accepted: float) -> None:
        for request in self.requests:
            guarded(request.on_accepted, pid, accepted)

    def _on_timeout(self, soft: bool, timeout: float) -> None:  # noqa: FBT001 - the pool's signature
        if soft:
            logger.warning("soft time limit of %s s exceeded by batch %d", timeout, self._number)

    def _on_report(self, report: Report) -> None:
        self._dispatcher.landed(self)
        live = []
        for request, outcome in zip(self.requests, report.outcomes, strict=True):
            if not request.over:
                live.append((request, outcome))
                self._tell_end(request, outcome, report.runtime)
        again = [request for request, outcome in live if outcome.ending is Ending.OUT_OF_TIME]
        lost = [request for request, outcome in live if outcome.ending is Ending.LOST]
        self._dispatcher.ended(request for request in self.requests if request not in again and request not in lost)
        for request in again:
            self._dispatcher.again(request, "the soft time limit of its batch passed", alone=True)
        if lost:
            logger.warning("batch %d: %d requests belong to another worker by now", self._number, len(lost))
        for request in lost:
            self._dispatcher.lost(request)
        if self.doubtful:
            self._dispatcher.put_back([tag for request, _ in live if request not in again for tag in request.tags])
        guarded(self._tell, report)

    def _tell_end(self, request: BatchRequest, outcome: Outcome, runtime: float) -> None:
        """Tell one request how it ended, if it did."""
        if outcome.ending is Ending.ANSWERED:
            request.settle()
            guarded(request.answered, outcome.summary, runtime)
        elif outcome.ending is Ending.FAILED:
            request.settle()
            guarded(request.failed, outcome.summary)
        elif outcome.ending is Ending.UNSTORED:
            guarded(request.unstored)

    def _on_error(self, einfo: Any) -> None:
        """End or repeat the requests of a batch whose process did not come back with a report."""
        self._dispatcher.landed(self)
        error = einfo.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        live = [request for request in self.requests if not request.over]
        self._dispatcher.ended(request for request in self.requests if request.over)
        logger.warning("batch %d of %d got no report: %r", self._number, len(self.requests), error)
        if state.should_terminate:  # a cold shutdown: all that is not acknowledged goes back to the queue
            return
        if isinstance(error, Terminated) and len(live) < len(self.requests):
            # The process was killed for one request; the others have done nothing.
            lost = "terminated"
            for request in live:
                self._dispatcher.again(request, "its process was ended for another request", alone=False)
        elif isinstance(error, TimeLimitExceeded):
            lost = "time_limit"
            self._on_out_of_time(live)
        else:
            lost = "process_died"
            self._on_death(live, WorkerLost())
        again = sum(self._dispatcher.known(request.id) is request for request in live)
        runtime = time.time() - self._left
        record = BatchRecord(self._number, self.requests, self._left, self._waits, runtime, loss=lost, retried=again)
        guarded(self._dispatcher.notify_batch, record)

    def _on_out_of_time(self, live: list[BatchRequest]) -> None:
        hung = f"the time limit of {self._hard} s passed each time the text was tried; allow more, or shorten it"
        self._on_death(live, TimedOut(hung))

    def _on_death(self, live: list[BatchRequest], error: HannerError) -> None:
        """Try each once more, alone; set aside what a process died of again and again."""
        self._dispatcher.count_deaths(live)
        for request in live:
            if self._dispatcher.known(request.id) is not request or request in self._dispatcher:
                continue  # dropped, or waiting again already
            if request.deaths >= MAX_DEATHS:
                self._dispatcher.ended([request])
                guarded(request.set_aside, error, self._dispatcher.store)
            else:
                self._dispatcher.again(request, f"its process died ({error.code})", alone=True)

    def _tell(self, report: Report) -> None:
        """Describe the batch in one log line and one event; no word of its texts."""
        batch = self._described(report)
        logger.info(
            "batch %(batch)d: %(requests)d requests, %(texts)d texts (%(repeated)d repeated, %(cached)d cached), "
            "%(windows)d windows, %(tokens)d tokens, %(padded_tokens)d padded, "
            "waited up to %(waited_ms).1f ms, took %(total_ms).1f ms",
            batch,
        )
        if names := [name for request in self.requests if (name := request.caller)]:
            logger.info("batch %d is for requests %s", self._number, ", ".join(names))
        self._dispatcher.announce(batch)
        self._dispatcher.note(int(batch["texts"]), batch["waited_ms"] + batch["total_ms"])
        self._dispatcher.notify_batch(
            BatchRecord(
                self._number, self.requests, self._left, self._waits, report.runtime, report.outcomes, report.figures
            )
        )

    def _described(self, report: Report) -> dict[str, float]:
        figures = report.figures
        counts = {
            name: int(figures.get(name, 0)) for name in ("repeated", "cached", "windows", "tokens", "padded_tokens")
        }
        stages = {f"{stage}_ms": round(figures.get(stage, 0) * 1000, 3) for stage in ("tokenise", "infer", "decode")}
        return {
            "batch": self._number,
            "requests": len(self.requests),
            "texts": sum(request.size.texts for request in self.requests),
            **counts,
            "waited_ms": round(max(self._waits) * 1000, 3),
            **stages,
            "total_ms": round(report.runtime * 1000, 3),
        }


def guarded(call: Callable[..., Any], *args: Any) -> None:
    """Call for one request; what goes wrong there must not keep the others of its batch from their end."""
    try:
        call(*args)
    except Exception:
        logger.exception("a request of the batch could not be told how it went")
