"""What becomes of a message that is being put into the queue."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger("hanner.transport.publisher")


class FullError(Exception):
    """The queue has no room; the caller words it for people."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length


@dataclass(slots=True, eq=False)
class PendingMessage:
    """One message of one caller, and what became of it."""

    message: bytes
    tell: Callable[[Exception | None], None] | None = None
    done: bool = False
    error: Exception | None = None

    def settle(self, error: Exception | None) -> None:
        """Note the end; the first one counts."""
        if not self.done:
            self.error = error
            self.done = True
            if self.tell is not None:
                try:
                    self.tell(error)
                except Exception:  # the others who sent along are to be told all the same
                    log.exception("a caller could not be told what became of its message")
