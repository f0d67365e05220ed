"""HannerError and its subclasses. Each code of the contract maps to one class here. Pure.

A class's docstring is its default message: what went wrong, and what to do next.
"""

from typing import ClassVar

from hanner.contract import ErrorCode


class HannerError(Exception):
    """hanner could not complete the call."""

    code: ClassVar[ErrorCode | None] = None

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class InvalidSettings(HannerError):
    """A HANNER_ setting has an invalid value."""


class InvalidText(HannerError):
    """The text is invalid; nothing was sent. Correct it and send it again."""

    code = ErrorCode.INVALID_TEXT


class UnknownModel(HannerError):
    """No worker has ever served this model; nothing was sent. Start one, or map its queue in HANNER_ROUTES."""

    code = ErrorCode.UNKNOWN_MODEL


class QueueFull(HannerError):
    """The queue is full; retry later, use stream(), or start more workers."""

    code = ErrorCode.QUEUE_FULL
    seconds: float | None = None
    """Estimated time until the queue drains, at the current rate; None if no rate is known."""


class TimedOut(HannerError):
    """No result arrived in time. The request may still complete: call job.result() again, or check the workers."""

    code = ErrorCode.TIMED_OUT


class BrokerUnreachable(HannerError):
    """Redis does not answer; start it, or set HANNER_BROKER_URL to its address."""

    code = ErrorCode.BROKER_UNREACHABLE


class ModelFailed(HannerError):
    """The model failed on this text; see the worker's log for the reason."""

    code = ErrorCode.MODEL_FAILED


class WorkerLost(HannerError):
    """The worker process died each time it ran this text; look for memory limits in the worker's log."""

    code = ErrorCode.WORKER_LOST


class Expired(HannerError):
    """The request expired before a worker started it; allow more time, or start more workers."""

    code = ErrorCode.EXPIRED


class Revoked(HannerError):
    """The request was revoked before it was answered; send it again if you need its result."""

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
"""The class of each error code."""


def from_code(code: str, message: str | None = None) -> HannerError:
    """Return the error of a code; an unknown code, such as a newer worker's, becomes a plain HannerError."""
    return CLASSES.get(code, HannerError)(message)
