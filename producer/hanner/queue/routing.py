"""Routing: which queue a model's requests go to, and which of its two lists. No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from hanner.contract import DEFAULT_QUEUE
from hanner.errors import InvalidSettings, UnknownModel
from hanner.queue.keys import BULK, QueueKeys, queue_name_problem

PriorityName = Literal["interactive", "bulk"]


class Priority(StrEnum):
    """The priority of a request: workers take interactive requests before bulk requests of any age."""

    INTERACTIVE = "interactive"
    BULK = "bulk"

    @classmethod
    def parse(cls, value: str) -> "Priority":
        """Return the priority with this name.

        Raises:
            InvalidSettings: there is no such priority.
        """
        try:
            return cls(value)
        except ValueError:
            raise InvalidSettings(f"priority must be 'interactive' or 'bulk', not {value!r}") from None


@dataclass(frozen=True, slots=True)
class Destination:
    """The queue and list of a request.

    Attributes:
        queue: The queue's name.
        priority: Selects one of its two lists.
    """

    queue: str
    priority: Priority

    @property
    def list(self) -> str:
        """The Redis list that requests are pushed to, which is also the name of a Celery queue."""
        return QueueKeys(self.queue).bulk if self.priority is Priority.BULK else self.queue


MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Valid names of models."""


def parse_routes(text: str) -> dict[str, str]:
    """Return the routes in HANNER_ROUTES: `model=queue,model=queue`.

    Raises:
        ValueError: the syntax is invalid; the message quotes the invalid part.
    """
    routes: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        model, _, queue = (piece.strip() for piece in part.partition("="))
        if not MODEL_NAME.fullmatch(model) or not queue or queue_name_problem(queue):
            raise ValueError(f"{part!r} is not a route; write model=queue,model=queue")
        if routes.setdefault(model, queue) != queue:
            raise ValueError(f"model {model!r} has two queues; name one")
    return routes


def queue_of(model: str, routes: Mapping[str, str]) -> str:
    """Return the queue of a model.

    Raises:
        UnknownModel: the name is not a valid model name.
    """
    if not isinstance(model, str):
        raise UnknownModel(f"model must be a string, the name of a model, not {type(model).__name__}")
    if (queue := routes.get(model)) is not None:
        return queue
    queue = f"{DEFAULT_QUEUE}.{model}"
    if not MODEL_NAME.fullmatch(model) or queue.endswith(BULK):
        raise UnknownModel(
            f"{model!r} is not a valid model name; use letters, digits, dots, underscores and hyphens, "
            f"and do not end it with {BULK[1:]}"
        )
    return queue


def unknown_model_error(model: str, queue: str, routes: Mapping[str, str]) -> UnknownModel:
    """Return the error for a model that no worker has ever served."""
    listed = f"; HANNER_ROUTES names {', '.join(sorted(routes))}" if routes else ""
    return UnknownModel(
        f"no worker of model {model!r} has ever run here{listed}. Correct the name, start a worker with "
        f"HANNER_QUEUE={queue} and HANNER_MODEL, or map the model to its queue in HANNER_ROUTES"
    )
