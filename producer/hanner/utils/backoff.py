"""Retry with backoff: pauses that double up to a maximum, within an optional time limit. Pure: the caller waits."""

from typing import Final


class Backoff:
    """The pauses between the attempts of one operation.

    Args:
        first: Seconds of the first pause.
        longest: Maximum seconds of a pause.
        limit: Seconds after which `next_pause` returns None; None is no limit.
        started: When the limit starts, in seconds of any monotonic clock; at the first failure when None.
        immediate: Whether the first pause after a reset is 0, such as for a connection that may be stale.
    """

    def __init__(
        self,
        first: float,
        longest: float,
        *,
        limit: float | None = None,
        started: float | None = None,
        immediate: bool = False,
    ) -> None:
        self._first: Final = min(first, longest)
        self._longest: Final = longest
        self._limit: Final = limit
        self._immediate: Final = immediate
        self.reset(started)

    def reset(self, started: float | None = None) -> None:
        """Start again with the first pause, after progress; `started` is as in the constructor."""
        self._started = started
        self._failures = 0
        self._pause = 0.0

    def next_pause(self, now: float) -> float | None:
        """Return the seconds to wait before the next attempt, or None if the limit is reached.

        No pause goes beyond the limit, so that the last attempt is made when it is reached.

        Args:
            now: Seconds of the same clock as `started`.
        """
        if self._started is None:
            self._started = now
        left = float("inf") if self._limit is None else self._started + self._limit - now
        if left <= 0:
            return None
        self._failures += 1
        if self._failures > 1 or not self._immediate:
            self._pause = min(self._longest, max(self._first, 2 * self._pause))
        return min(self._pause, left)
