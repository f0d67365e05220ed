"""What a check of `hanner doctor` finds. Here, so that the worker can bring checks of its own."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How grave a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at.

    Attributes:
        level: How it is.
        subject: What was looked at, in a word or two.
        found: What was found.
        mend: What to do; empty when it is well.
    """

    level: Level
    subject: str
    found: str
    mend: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def ok(subject: str, found: str) -> CheckResult:
    """Return a finding that all is well."""
    return CheckResult(Level.OK, subject, found)


def warn(subject: str, found: str, mend: str) -> CheckResult:
    """Return a finding that may cause trouble."""
    return CheckResult(Level.WARN, subject, found, mend)


def fail(subject: str, found: str, mend: str) -> CheckResult:
    """Return a finding that keeps hanner from working."""
    return CheckResult(Level.FAIL, subject, found, mend)
