"""NerqError and its children. Every code of the contract maps to one class here.

Each class's docstring is its default message: what happened, and what to do next.
"""

from typing import ClassVar

from nerq.contract import ErrorCode


class NerqError(Exception):
    """nerq could not do what was asked."""

    code: ClassVar[ErrorCode | None] = None

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class InvalidSettings(NerqError):
    """A NERQ_ setting has a value that cannot be used."""


class InvalidText(NerqError):
    """The text cannot be worked on; nothing was sent."""

    code = ErrorCode.INVALID_TEXT


class UnknownModel(NerqError):
    """No worker has ever run this model here; nothing was sent. Start one, or name its queue in NERQ_ROUTES."""

    code = ErrorCode.UNKNOWN_MODEL


class QueueFull(NerqError):
    """The queue is full; wait and send again, use stream(), or start more workers."""

    code = ErrorCode.QUEUE_FULL
    seconds: float | None = None
    """How long what waits will take at the rate of late; None when no rate is known."""


class TimedOut(NerqError):
    """No result came in time; the text may still be worked on. Ask job.result() again, or see whether a worker runs."""

    code = ErrorCode.TIMED_OUT


class BrokerUnreachable(NerqError):
    """Redis does not answer; start it, or set NERQ_BROKER_URL to where it runs."""

    code = ErrorCode.BROKER_UNREACHABLE


class ModelFailed(NerqError):
    """The model failed on this text; the worker's log has the reason."""

    code = ErrorCode.MODEL_FAILED


class WorkerLost(NerqError):
    """The process that worked on this text died each time it was tried; look for memory limits in the worker's log."""

    code = ErrorCode.WORKER_LOST


class Expired(NerqError):
    """The request expired before a worker took it; allow more time, or start more workers."""

    code = ErrorCode.EXPIRED


class Revoked(NerqError):
    """The request was revoked before it was answered."""

    code = ErrorCode.REVOKED


CLASSES: dict[str, type[NerqError]] = {
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


def from_code(code: str, message: str | None = None) -> NerqError:
    """Return the error for a code of the wire; an unknown one (a newer worker's) becomes a plain NerqError."""
    return CLASSES.get(code, NerqError)(message)
