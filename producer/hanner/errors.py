"""HannerError and its children. Every code of the contract maps to one class here.

Each class's docstring is its default message: what happened, and what to do next.
"""

from typing import ClassVar

from hanner.contract import ErrorCode


class HannerError(Exception):
    """hanner could not do what was asked."""

    code: ClassVar[ErrorCode | None] = None

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class InvalidSettings(HannerError):
    """A HANNER_ setting has a value that cannot be used."""


class InvalidText(HannerError):
    """The text cannot be worked on; nothing was sent."""

    code = ErrorCode.INVALID_TEXT


class UnknownModel(HannerError):
    """No worker has ever run this model here; nothing was sent. Start one, or name its queue in HANNER_ROUTES."""

    code = ErrorCode.UNKNOWN_MODEL


class QueueFull(HannerError):
    """The queue is full; wait and send again, use stream(), or start more workers."""

    code = ErrorCode.QUEUE_FULL
    seconds: float | None = None
    """How long what waits will take at the rate of late; None when no rate is known."""


class TimedOut(HannerError):
    """No result came in time; the text may still be worked on. Ask job.result() again, or see whether a worker runs."""

    code = ErrorCode.TIMED_OUT


class BrokerUnreachable(HannerError):
    """Redis does not answer; start it, or set HANNER_BROKER_URL to where it runs."""

    code = ErrorCode.BROKER_UNREACHABLE


class ModelFailed(HannerError):
    """The model failed on this text; the worker's log has the reason."""

    code = ErrorCode.MODEL_FAILED


class WorkerLost(HannerError):
    """The process that worked on this text died each time it was tried; look for memory limits in the worker's log."""

    code = ErrorCode.WORKER_LOST


class Expired(HannerError):
    """The request expired before a worker took it; allow more time, or start more workers."""

    code = ErrorCode.EXPIRED


class Revoked(HannerError):
    """The request was revoked before it was answered."""

    code = ErrorCode.REVOKED


CLASSES: dict[str, type[HannerError]] = {
    cls.code: cls
    for cls in (
        InvalidText,
        UnknownModel,
        QueueFull,
        TimedOut,
        BrokerUnreachable,
        ModelFailed,
        WorkerLost,
        Expired,
        Revoked,
    )
    if cls.code is not None
}
"""From the code on the wire to the class that is raised."""


def from_code(code: str, message: str | None = None) -> HannerError:
    """Return the error for a code of the wire; an unknown one (a newer worker's) becomes a plain HannerError."""
    return CLASSES.get(code, HannerError)(message)
