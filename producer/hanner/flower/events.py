"""Celery's events as Flower receives them: with hanner's own fields, and without texts. Runs in Flower's thread.

Subclasses Flower's event consumer, which extends Celery's, and changes Celery's class of tasks.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from celery.events import EventReceiver
from celery.events.state import Task
from flower.events import Events as FlowerEvents

EXTRA_FIELDS = ("batch", "batch_size", "waited_ms", "characters")
"""Fields of hanner's events that a task's page and the API show in addition to Celery's: the number of the batch, how
many requests it had, how long this one waited in the worker, and the length of its texts together."""
TEXT_FIELDS = ("args", "kwargs")
RECONNECT_PAUSE = 2.0
"""Seconds between attempts to reconnect. Flower's own pause doubles without limit: after an outage of an hour it would
wait for another hour."""
RECEIVE_TIMEOUT = 60.0
"""Seconds without any event after which the connection is replaced: a worker sends an event every two seconds."""

logger = logging.getLogger(__name__)


def add_task_fields() -> None:
    """Add EXTRA_FIELDS to Celery's class of tasks, which drops unknown fields when a task is copied or stored."""
    for name in EXTRA_FIELDS:
        if name not in Task._fields:
            Task._fields = (*Task._fields, name)
            setattr(Task, name, None)


def remove_text(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event without the arguments in it.

    Workers redact arguments, but a Celery app that is configured to send `task-sent` events does not.
    """
    if event["type"] != "task-sent":
        return dict(event)
    return {name: value for name, value in event.items() if name not in TEXT_FIELDS}


class Events(FlowerEvents):  # type: ignore[misc]
    """Flower's event consumer, with a filter.

    Args:
        *args: Passed to Flower.
        log_text: Whether to show texts.
        sleep: Waits for a number of seconds.
        **options: Passed to Flower.
    """

    def __init__(self, *args: Any, log_text: bool, sleep: Callable[[float], None] = time.sleep, **options: Any) -> None:
        self._sleep = sleep
        self._filter: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict if log_text else remove_text
        super().__init__(*args, **options)

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Process one event, in the thread that receives events."""
        super().on_event(self._filter(event))

    def run(self) -> NoReturn:
        """Receive events without end, in a daemon thread."""
        while True:
            try:
                with self.capp.connection() as connection:
                    receiver = EventReceiver(connection, handlers={"*": self.on_event}, app=self.capp)
                    receiver.capture(limit=None, timeout=RECEIVE_TIMEOUT, wakeup=True)
            except TimeoutError:
                continue
            except Exception as error:  # noqa: BLE001 - after any error, events must be received again
                logger.warning(
                    "events cannot be received (%s); retrying in %s s", type(error).__name__, RECONNECT_PAUSE
                )
                self._sleep(RECONNECT_PAUSE)
