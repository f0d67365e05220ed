"""Whether workers serve the queue, and which model they have."""

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Self

from hanner.contract import EXAMPLE_TEXT
from hanner.errors import HannerError

if TYPE_CHECKING:
    from hanner.client import Client

NOTICE_AFTER = 1.0
"""Seconds without a result after which a missing worker is reported."""


def query_model(ner: "Client", name: str | None = None) -> str:
    """Return the id, NAME@DIGEST8, of the model that answers; with `name`, of the model of this name.

    Raises:
        HannerError: no worker answers, or its result has no model.
    """
    from hanner.jobs import wait_for_meta

    job = ner.submit(EXAMPLE_TEXT, model=name)
    result = wait_for_meta(job).get("result")
    job.result()
    if not isinstance(result, dict) or "model" not in result:
        raise HannerError("the worker's result does not name its model; update hanner on the worker")
    return str(result["model"])


def find_missing_worker(ner: "Client", model: str | None = None) -> str | None:
    """Return that no worker serves the queue, and how to start one in a shell; None if one does, or it is unknown."""
    with contextlib.suppress(HannerError):
        if not ner.backlog(model).workers:
            return f"no worker serves the queue {ner.queue_of(model)!r}; start one with `hanner worker` or `hanner up`"
    return None


class WorkerNotice:
    """Prints to stderr that no worker serves the queue, if no result has come after a second; a context manager.

    Args:
        ner: The client.
        model: The name of the model; None for the default.
    """

    def __init__(self, ner: "Client", model: str | None) -> None:
        self._ner = ner
        self._model = model
        self._timer = threading.Timer(NOTICE_AFTER, self._check)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def cancel(self) -> None:
        """Print nothing from now on."""
        self._timer.cancel()

    def _check(self) -> None:
        reason = find_missing_worker(self._ner, self._model)
        if reason is not None and not self._timer.finished.is_set():
            print(f"hanner: {reason}. Waiting …", file=sys.stderr, flush=True)
