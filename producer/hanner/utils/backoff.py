"""How a stream slows down when the queue takes no more: growing pauses, until its patience ends. Pure: no I/O."""

from typing import Final

from hanner.errors import HannerError

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds between attempts to send what was refused."""


class Backoff:
    """The pauses of one stream.

    Args:
        limit: Seconds without any progress after which the refusal is raised; None is never.
    """

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._began: float | None = None
        self._pause = 0.0

    def progress(self) -> None:
        """Begin anew: something was sent, or an answer came."""
        self._began = None
        self._pause = 0.0

    def pause(self, error: HannerError, now: float) -> float:
        """Return how many seconds to wait before the next attempt.

        Args:
            error: Why the last one failed.
            now: Seconds of any steady clock.

        Raises:
            HannerError: the error, when there was no progress for too long.
        """
        if self._began is None:
            self._began = now
        left = float("inf") if self._limit is None else self._began + self._limit - now
        if left <= 0:
            raise error
        self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))
        return min(self._pause, left)
