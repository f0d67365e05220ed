"""What Flower takes note of: Celery's events, with hanner's own fields shown and no text let in.

Flower's own classes are Celery's with more in them; what is added here are fields of a task, and two filters.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from celery.events import EventReceiver
from celery.events.state import Task
from flower.events import Events as FlowerEvents

SHOWN = ("batch", "batch_size", "waited_ms", "characters")
"""Fields of hanner's events that a task's page and the API show besides Celery's: the number that the worker gave the
batch, how many requests were in it, how long this one waited in the worker, and how long its texts are together."""
TEXT_FIELDS = ("args", "kwargs")
PAUSE = 2.0
"""Seconds until Redis is tried again. Flower's own pause doubles without end: after an outage of an hour it is deaf for
another."""
SILENCE = 60.0
"""Seconds without any event after which the connection counts as dead: a worker sends one every two."""

logger = logging.getLogger(__name__)


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
        pause: Waits so many seconds.
        **options: Flower's.
    """

    def __init__(self, *args: Any, log_text: bool, pause: Callable[[float], None] = time.sleep, **options: Any) -> None:
        self._pause = pause
        self._filter: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict if log_text else without_text
        super().__init__(*args, **options)

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Take one event, on the thread that listens."""
        super().on_event(self._filter(event))

    def run(self) -> NoReturn:
        """Listen for ever; the thread that does ends with the process."""
        while True:
            try:
                with self.capp.connection() as connection:
                    receiver = EventReceiver(connection, handlers={"*": self.on_event}, app=self.capp)
                    receiver.capture(limit=None, timeout=SILENCE, wakeup=True)
            except TimeoutError:
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, events are to be heard again
                logger.warning("events cannot be heard (%s); trying again in %s s", type(error).__name__, PAUSE)
                self._pause(PAUSE)
