"""Ends a worker that hangs, so that a supervisor such as Docker, Kubernetes or systemd starts it again.

Each finished batch shows that the worker works. While it is idle, probes do: they run the model in a pool process. If
there is no sign of life for a time, the event loop or all processes hang. The requests are requeued when the lease
expires; those that were running count a crash, so that a text on which workers hang becomes a dead letter.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from hanner_worker.observability.hooks import BatchRecord, Observer
from hanner_worker.probes import Probes

logger = logging.getLogger(__name__)

CHECKS_PER_TIMEOUT = 4
EXIT_STATUS = 1


class Watchdog(Observer):
    """Watches the worker from a thread while the event loop should run, and ends it if it hangs.

    The thread starts no probes, because only the event loop may use the pool.

    Args:
        timeout: seconds without a sign of life; 0 never ends the worker.
        probes: the probes of the worker.
        end: ends the worker; called on the thread.
        clock: returns monotonic seconds.
    """

    def __init__(
        self, timeout: float, probes: Probes, end: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._timeout = timeout
        self._probes = probes
        self._end = end
        self._clock = clock
        self._watching = False
        self._seen = 0
        self._last_sign = self._last_check = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hanner-watchdog", daemon=True)

    @property
    def interval(self) -> float:
        """Seconds between two checks; 0 if it is off."""
        return self._timeout / CHECKS_PER_TIMEOUT

    def start(self) -> None:
        """Start the thread."""
        if self._timeout:
            self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def resume(self) -> None:
        """Start watching: the event loop runs from now on."""
        self._last_sign = self._last_check = self._clock()
        self._watching = True

    def pause(self) -> None:
        """Stop watching, because the event loop will not run, for example until Redis is reachable again."""
        self._watching = False

    def on_batch(self, record: BatchRecord) -> None:
        """Note that a process has reported a batch."""
        if not record.loss:
            self._last_sign = self._clock()

    def probe(self, pool: Any) -> None:
        """Start a probe if there was no sign of life recently. Called by the event loop at each interval."""
        now = self._clock()
        if self._probes.succeeded > self._seen:
            self._seen, self._last_sign = self._probes.succeeded, now
        elif now - self._last_sign >= self.interval and not self._probes.is_running(now):
            self._probes.start(pool, now)

    def check(self) -> None:
        """End the worker if there was no sign of life for too long. Called by the thread at each interval."""
        now = self._clock()
        if now - self._last_check > 2 * self.interval:
            self._last_sign = now  # this thread was stopped too, so the whole process or machine was
        self._last_check = now
        if self._watching and now - self._last_sign > self._timeout:
            self._watching = False
            logger.critical(
                "no process of this worker has answered for %.0f s; it ends with status %d, so that it can be started "
                "again (HANNER_HANG_TIMEOUT)",
                now - self._last_sign,
                EXIT_STATUS,
            )
            self._end()

    def _run(self) -> None:
        self._last_check = self._clock()
        while not self._stopped.wait(self.interval):
            self.check()


def end_worker(pids: Iterable[int]) -> None:
    """Kill the processes of the pool, and end this one at once; nothing that may hang is called."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(EXIT_STATUS)
