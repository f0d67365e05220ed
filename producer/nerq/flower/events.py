"""What Flower takes note of: Celery's events, with nerq's own fields shown and no text let in.

Flower's own classes are Celery's with more in them; what is added here are fields of a task, and two filters.
"""

from collections.abc import Callable, Mapping
from typing import Any

from celery.events.state import Task
from flower.events import Events as FlowerEvents

SHOWN = ("batch", "batch_size", "waited_ms", "characters")
"""Fields of nerq's events that a task's page and the API show besides Celery's: the number that the worker gave the
batch, how many requests were in it, how long this one waited in the worker, and how long its texts are together."""
TEXT_FIELDS = ("args", "kwargs")


def show_fields() -> None:
    """Let Celery's account of a task keep SHOWN, too; it drops other fields when it is copied or stored."""
    for name in SHOWN:
        if name not in Task._fields:
            Task._fields = (*Task._fields, name)
            setattr(Task, name, None)


def without_text(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event of a sender's without the arguments that it quotes.

    Workers mask them. But a Celery app that is told to send `task-sent` tells the arguments of its requests itself.
    """
    if event["type"] != "task-sent":
        return dict(event)
    return {name: value for name, value in event.items() if name not in TEXT_FIELDS}


class Events(FlowerEvents):  # type: ignore[misc]
    """Flower's events, filtered.

    Args:
        *args: Flower's.
        log_text: Texts may be shown.
        **options: Flower's.
    """

    def __init__(self, *args: Any, log_text: bool, **options: Any) -> None:
        self._filter: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict if log_text else without_text
        super().__init__(*args, **options)

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Take one event, on the thread that listens."""
        super().on_event(self._filter(event))
