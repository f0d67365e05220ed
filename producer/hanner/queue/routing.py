"""Where a request goes: the queue of its model, and which of its two lists. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from hanner.contract import DEFAULT_QUEUE
from hanner.errors import InvalidSettings, UnknownModel
from hanner.queue.keys import BULK, QueueKeys

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


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a model may be called by a client."""


def read_routes(text: str) -> dict[str, str]:
    """Read HANNER_ROUTES: `model=queue,model=queue`.

    Raises:
        ValueError: it cannot be read; the sentence says where.
    """
    routes: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        model, _, queue = (piece.strip() for piece in part.partition("="))
        if not NAME.fullmatch(model) or not queue or queue.endswith(BULK):
            raise ValueError(f"{part!r} is no route; write model=queue,model=queue")
        if routes.setdefault(model, queue) != queue:
            raise ValueError(f"model {model!r} has two queues; name one")
    return routes


def queue_of(model: str, routes: Mapping[str, str]) -> str:
    """Return the queue of a model.

    Raises:
        UnknownModel: no model can have this name.
    """
    if (queue := routes.get(model)) is not None:
        return queue
    queue = f"{DEFAULT_QUEUE}.{model}"
    if not NAME.fullmatch(model) or queue.endswith(BULK):
        raise UnknownModel(
            f"no model can be called {model!r}; a name has letters, digits, dots, underscores and hyphens, "
            f"and does not end in {BULK[1:]}"
        )
    return queue


def unknown(model: str, queue: str, routes: Mapping[str, str]) -> UnknownModel:
    """Return the error for a model that nobody has ever run."""
    listed = f"; HANNER_ROUTES names {', '.join(sorted(routes))}" if routes else ""
    return UnknownModel(
        f"no worker of model {model!r} has ever run here{listed}. Correct the name, start a worker with "
        f"HANNER_QUEUE={queue} and HANNER_MODEL, or say in HANNER_ROUTES which queue it is on"
    )
