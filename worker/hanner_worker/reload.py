"""Reload the dictionary on SIGHUP: the parent compiles it again while its processes continue to work.

Without a dictionary, and without a terminal, Celery restarts the worker on SIGHUP; with a dictionary this module's
handler replaces that one. A worker that was started in a terminal still exits when the terminal is closed. Installs a
signal handler and starts threads.
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


class DictionaryReloader:
    """Reloads a dictionary on SIGHUP. Create it before Celery installs its own signal handlers."""

    def __init__(self) -> None:
        self._exits_with_terminal = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and _has_terminal()
        self._dictionary: Dictionary | None = None
        self._lock = Lock()
        self._latest = 0

    def install(self, dictionary: "Dictionary") -> None:
        """Handle SIGHUP in this process from now on."""
        self._dictionary = dictionary
        signal.signal(signal.SIGHUP, self._on_signal)

    def _on_signal(self, *_: Any) -> None:
        if self._exits_with_terminal and not _has_terminal():
            signal.raise_signal(signal.SIGTERM)
            return
        self._latest += 1
        Thread(target=self._reload, args=(self._latest,), name="dictionary", daemon=True).start()

    def _reload(self, number: int) -> None:
        """Reload on a thread, so that the event loop is not blocked; of several signals only the last one counts."""
        with self._lock:
            if number != self._latest or self._dictionary is None:
                return
            try:
                self._dictionary.reload()
            except HannerError as error:
                logger.error("the dictionary was not reloaded: %s", error)  # noqa: TRY400 - the message has the reason
            except Exception:
                logger.exception("the dictionary was not reloaded")
            else:
                logger.info("reloaded: %s", self._dictionary)


def ignore_sighup() -> None:
    """Ignore SIGHUP in a pool process: the signal may be sent to all processes of a worker."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _has_terminal() -> bool:
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
