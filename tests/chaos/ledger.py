"""What was sent, and what came of it: the one place where texts are counted."""

import threading
import time
from collections import Counter
from dataclasses import dataclass

ANSWERED = "answered"
OVERDUE = 3.0
"""Seconds after which an unanswered text no longer holds others back."""


@dataclass(eq=False, slots=True)
class Entry:
    """One accepted text.

    Attributes:
        serial: its number.
        task_id: as the client was given it.
        command: what the text does to its worker, if anything.
        sent: when the client was called; `accepted`: when it returned.
        ended: when the caller was told, None while it waits.
        outcome: ANSWERED, "wrong", or the code of the error.
        tellings: how often the caller was told.
        exempt: it may be lost: the disk had not got it when the power was cut.
        rewound: it may be answered again: the disk had not got the answer.
    """

    serial: int
    task_id: str
    command: str
    sent: float
    accepted: float
    ended: float | None = None
    outcome: str | None = None
    tellings: int = 0
    exempt: bool = False
    rewound: bool = False


class Ledger:
    """All texts of a run. Threads share it.

    Attributes:
        entries: by serial number.
        refused: how often the client said that a text was not accepted, by code.
        asked_again: callers who were told that Redis is away and asked once more.
    """

    def __init__(self):
        self.entries = {}
        self.open = {}
        self.refused = Counter()
        self.asked_again = 0
        self.finished = 0
        self.changed = threading.Condition(threading.RLock())

    def accept(self, entry):
        with self.changed:
            self.entries[entry.serial] = entry
            self.open[entry.serial] = entry

    def refuse(self, code):
        with self.changed:
            self.refused[str(code)] += 1

    def end(self, entry, outcome):
        with self.changed:
            entry.tellings += 1
            if entry.ended is None:
                entry.ended, entry.outcome = time.monotonic(), outcome
                self.open.pop(entry.serial, None)
                self.finished += 1
            self.changed.notify_all()

    def in_flight(self, now):
        """Count the unanswered texts that are not overdue."""
        with self.changed:
            young = 0
            for entry in reversed(list(self.open.values())):
                if now - entry.accepted > OVERDUE:
                    break
                young += 1
            return young

    def wait_settled(self, count, timeout):
        """Wait until so many texts have ended or are overdue; False when that is not so in time."""
        until = time.monotonic() + timeout
        with self.changed:
            while len(self.entries) - self.in_flight(time.monotonic()) < count:
                if (left := until - time.monotonic()) <= 0:
                    return False
                self.changed.wait(min(left, 0.5))  # texts become overdue without a word
        return True

    def wait_all(self, timeout):
        """Wait until nothing is open."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.open, timeout)

    def outcomes(self):
        """Count the texts by how they ended."""
        return Counter(entry.outcome for entry in self.entries.values() if entry.outcome)
