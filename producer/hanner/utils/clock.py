"""The time of Redis, on this machine. Requests are compared with it, because the clocks of machines differ."""

import time
from collections.abc import Callable
from typing import Final

MAX_AGE: Final = 60.0
"""Seconds after which the time of Redis is read again."""
MAX_DRIFT: Final = 1.0
"""Seconds by which this machine's two clocks may diverge after an update; beyond, it slept or its clock was set."""


class RedisClock:
    """The time of Redis: its last known value, plus the time that has passed here since. Threads may share it.

    Args:
        wall: Unix seconds of this machine, which are used until Redis' time is known.
        steady: Seconds that only advance.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self._last: tuple[float, float, float] | None = None

    def update(self, now: float) -> None:
        """Set the time of Redis, in Unix seconds, as of this moment."""
        self._last = now, self._wall(), self._steady()

    def is_known(self) -> bool:
        """Return whether the time of Redis was read recently; not if this machine slept or its clock was set since."""
        if self._last is None:
            return False
        _, wall, steady = self._last
        passed = self._steady() - steady
        return passed < MAX_AGE and abs(self._wall() - wall - passed) < MAX_DRIFT

    def now(self) -> float:
        """Return the time of Redis in Unix seconds; this machine's if Redis' was never known."""
        if self._last is None:
            return self._wall()
        now, _, steady = self._last
        return now + self._steady() - steady
