"""Where a request goes: the queue, and which of its two lists. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from nerq.errors import InvalidSettings
from nerq.keys import QueueKeys

PriorityName = Literal["interactive", "bulk"]


class Priority(StrEnum):
    """Who goes first: workers take interactive requests before bulk ones, of whatever age."""

    INTERACTIVE = "interactive"
    BULK = "bulk"

    @classmethod
    def of(cls, given: str) -> "Priority":
        """Read what a caller gave.

        Raises:
            InvalidSettings: it is neither.
        """
        try:
            return cls(given)
        except ValueError:
            raise InvalidSettings(f"priority must be 'interactive' or 'bulk', not {given!r}") from None


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request goes.

    Attributes:
        queue: the queue's name.
        priority: which of its lists.
    """

    queue: str
    priority: Priority

    @property
    def list(self) -> str:
        """The list of Redis' that it is pushed to, which is also the name of a queue of Celery's."""
        return QueueKeys(self.queue).bulk if self.priority is Priority.BULK else self.queue
