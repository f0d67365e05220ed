"""SIGHUP: the worker's parent compiles its dictionary again, while its processes go on answering.

Celery restarts a worker on SIGHUP when it has no terminal; this takes its place where a dictionary is set. A worker
that was started in a terminal still ends when that terminal is closed.
"""

import logging
import os
import signal
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from hanner.errors import HannerError

if TYPE_CHECKING:
    from hanner_inference.dictionary.dictionary import Dictionary

logger = logging.getLogger(__name__)

_TERMINAL = "/dev/tty"


class Reloader:
    """Reloads a dictionary when asked by a signal; make it before Celery sets its own handlers."""

    def __init__(self) -> None:
        self._ends_with_terminal = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and _has_terminal()
        self._dictionary: Dictionary | None = None
        self._lock = Lock()
        self._latest = 0

    def install(self, dictionary: "Dictionary") -> None:
        """Handle SIGHUP in this process from now on."""
        self._dictionary = dictionary
        signal.signal(signal.SIGHUP, self._on_signal)

    def _on_signal(self, *_: Any) -> None:
        if self._ends_with_terminal and not _has_terminal():
            signal.raise_signal(signal.SIGTERM)
            return
        self._latest += 1
        Thread(target=self._reload, args=(self._latest,), name="dictionary", daemon=True).start()

    def _reload(self, number: int) -> None:
        """Reload on a thread, so that the event loop goes on; of several signals the last one counts."""
        with self._lock:
            if number != self._latest or self._dictionary is None:
                return
            try:
                self._dictionary.reload()
            except HannerError as error:
                logger.error("the dictionary stays as it was: %s", error)  # noqa: TRY400 - the reason is in it
            except Exception:
                logger.exception("the dictionary stays as it was")
            else:
                logger.info("reloaded: %s", self._dictionary)


def ignore() -> None:
    """Ignore SIGHUP in a pool process, for whoever sends it to all of a worker's processes."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _has_terminal() -> bool:
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
