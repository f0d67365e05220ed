"""The result of a check of `hanner doctor`. A module of its own, so that the worker can add checks."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """The severity of a result."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        level: Its severity.
        subject: The subject of the check, in one or two words.
        message: The finding.
        fix: The next step; empty if none is necessary.
    """

    level: Level
    subject: str
    message: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return asdict(self)


def ok(subject: str, message: str) -> CheckResult:
    """Return the result of a check that passed."""
    return CheckResult(Level.OK, subject, message)


def warn(subject: str, message: str, fix: str) -> CheckResult:
    """Return the result of a check that found a possible problem."""
    return CheckResult(Level.WARN, subject, message, fix)


def fail(subject: str, message: str, fix: str) -> CheckResult:
    """Return the result of a check that found an error that keeps hanner from working."""
    return CheckResult(Level.FAIL, subject, message, fix)
