"""The context of a worker, opened by the parent and inherited by its pool processes: model, settings, in-flight store.

Plain data. Pool processes get it by the fork; a process that was not forked opens its own (app.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from celery import Celery

from hanner.settings import Settings
from hanner_worker.delivery.inflight import InFlightStore
from hanner_worker.shared_flag import SharedFlag

if TYPE_CHECKING:  # numpy, which only a worker has
    from hanner_inference.dictionary.dictionary import Dictionary
    from hanner_inference.pipeline import Recogniser


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The objects that every process of a worker needs.

    Attributes:
        recogniser: the open model.
        model: NAME@DIGEST8, as results carry it.
        digest: sha256 of the model package.
        max_length: tokens in the model's longest window, special ones included.
        normalise: returns a text as the model receives it.
        app: the Celery app, for its backend and tasks.
        settings: the worker's settings.
        inflight: the worker's unacknowledged messages.
        broker: the address of Redis, if there are workers for other addresses beside this one; empty if not.
        interactive_waits: set by the parent while an interactive request waits and no process is idle; then processes
            interrupt their bulk batches.
    """

    recogniser: "Recogniser"
    model: str
    digest: str
    max_length: int
    normalise: Callable[[str], str]
    app: Celery
    settings: Settings
    inflight: InFlightStore
    broker: str = ""
    interactive_waits: SharedFlag = field(default_factory=SharedFlag)

    @property
    def dictionary(self) -> "Dictionary | None":
        """The terms that override the model, if there are any."""
        return getattr(self.recogniser, "dictionary", None)

    @property
    def types(self) -> list[str]:
        """The types that entities may have."""
        return getattr(self.recogniser, "types", [])


_context: WorkerContext | None = None


def set_context(context: WorkerContext) -> None:
    """Set the context of this process and of all that are forked from it."""
    global _context  # noqa: PLW0603 - one per process
    _context = context


def get_context() -> WorkerContext:
    """Return the context of this process.

    Raises:
        RuntimeError: it was not set.
    """
    if _context is None:
        raise RuntimeError("no model is open in this process; start it with `celery -A hanner_worker worker`")
    return _context


def has_context() -> bool:
    """Return whether `set_context` was called here or in a process that this one was forked from."""
    return _context is not None
