"""Records every accepted text and its outcome."""

import threading
import time
from collections import Counter
from dataclasses import dataclass

ANSWERED = "answered"
OVERDUE = 3.0
"""Seconds after which an unanswered text no longer counts as in flight, so that it does not block the producer."""


@dataclass(eq=False, slots=True)
class SentText:
    """One accepted text.

    Attributes:
        serial: Its number.
        task_id: The id that the client returned.
        command: The command in the text, if any; see fake_model.py.
        sent: When the client was called.
        accepted: When the client returned.
        ended: When the caller got the outcome; None until then.
        outcome: ANSWERED, "wrong", or the code of the error.
        callbacks: How often the caller got an outcome.
        may_be_lost: The text was not on disk when the power was cut.
        may_repeat: Its result was not on disk when the power was cut, so that it may be announced again.
    """

    serial: int
    task_id: str
    command: str
    sent: float
    accepted: float
    ended: float | None = None
    outcome: str | None = None
    callbacks: int = 0
    may_be_lost: bool = False
    may_repeat: bool = False


class RequestLog:
    """All texts of a run. Threads share it.

    Attributes:
        texts: All accepted texts, by serial number.
        pending: Those without an outcome, by serial number.
        refused: How often the client refused a text, by error code.
        reconnects: How often a caller lost the connection to Redis while it waited, and waited again.
    """

    def __init__(self):
        self.texts = {}
        self.pending = {}
        self.refused = Counter()
        self.reconnects = 0
        self.changed = threading.Condition(threading.RLock())

    def accept(self, text):
        with self.changed:
            self.texts[text.serial] = text
            self.pending[text.serial] = text

    def refuse(self, code):
        with self.changed:
            self.refused[str(code)] += 1

    def end(self, text, outcome):
        with self.changed:
            text.callbacks += 1
            if text.ended is None:
                text.ended, text.outcome = time.monotonic(), outcome
                self.pending.pop(text.serial, None)
            self.changed.notify_all()

    def in_flight(self, now):
        """Return the number of unanswered texts that are not overdue."""
        with self.changed:
            count = 0
            for text in reversed(list(self.pending.values())):
                if now - text.accepted > OVERDUE:
                    break
                count += 1
            return count

    def wait_finished(self, count, timeout):
        """Wait until `count` texts have an outcome or are overdue. Return False after `timeout` seconds."""
        until = time.monotonic() + timeout
        with self.changed:
            while len(self.texts) - self.in_flight(time.monotonic()) < count:
                if (left := until - time.monotonic()) <= 0:
                    return False
                self.changed.wait(min(left, 0.5))  # nothing notifies when a text becomes overdue
        return True

    def wait_all(self, timeout):
        """Wait until no text is pending."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.pending, timeout)

    def outcomes(self):
        """Return the number of texts per outcome."""
        return Counter(text.outcome for text in self.texts.values() if text.outcome)
