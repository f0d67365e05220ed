"""HannerError and its subclasses. Each code of the contract maps to one class here. No I/O.

The first paragraph of a class's docstring is its default message: what went wrong, and what to do next.
"""

from typing import ClassVar

from hanner.contract import ErrorCode


class HannerError(Exception):
    """hanner could not complete the call.

    The base class of all errors.

    Args:
        message: What went wrong, and what to do next. By default, the first paragraph of the class's docstring.
    """

    code: ClassVar[ErrorCode | None] = None
    """Machine-readable reason; None if the class has none."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split("\n\n")[0].split()))


class InvalidSettings(HannerError):
    """A setting or an argument has an invalid value.

    Raised when settings are read (by `Settings.from_env`, a client's constructor, `hanner_inference.load`, and
    commands), and for an invalid `timeout`, `expires`, `priority`, `window`, `types`, `min_score`, or id of a job.
    """


class InvalidText(HannerError):
    """The text is invalid. Correct it and send it again.

    Raised before anything is sent if the text is not a string, is too long, or has a lone surrogate, if a request has
    no texts or more than 256, or if its message exceeds HANNER_MAX_REQUEST_BYTES. A worker with lower limits than the
    client's stores this error as the result.
    """

    code = ErrorCode.INVALID_TEXT


class UnknownModel(HannerError):
    """No worker has ever served this model; nothing was sent. Start one, or map its queue in HANNER_ROUTES.

    Raised if no worker has ever consumed the queue of this model. It is not raised while its workers are stopped.
    """

    code = ErrorCode.UNKNOWN_MODEL


class QueueFull(HannerError):
    """The queue is full; retry later, use stream(), or start more workers.

    Raised if HANNER_MAX_QUEUE requests of this priority are waiting, or Redis is at its memory limit.
    """

    code = ErrorCode.QUEUE_FULL
    seconds: float | None = None
    """Estimated time until the queue drains, at the current rate; None if no rate is known."""


class TimedOut(HannerError):
    """No result arrived in time. The request may still complete: call job.result() again, or check the workers.

    Raised after the timeout of the call, or of HANNER_TIMEOUT. Workers also report this code if a request exceeds
    their hard time limit each time.
    """

    code = ErrorCode.TIMED_OUT


class BrokerUnreachable(HannerError):
    """Redis does not answer; start it, or set HANNER_BROKER_URL to its address.

    Raised if Redis is unreachable, or refuses writes; at the latest after HANNER_CONNECT_TIMEOUT seconds.
    """

    code = ErrorCode.BROKER_UNREACHABLE


class ModelFailed(HannerError):
    """The model failed on this text; see the worker's log for the reason.

    The request is kept as a dead letter: `hanner dead list`.
    """

    code = ErrorCode.MODEL_FAILED


class WorkerLost(HannerError):
    """The worker process died each time it ran this text; look for memory limits in the worker's log.

    Raised after three processes have died. The request is kept as a dead letter: `hanner dead list`.
    """

    code = ErrorCode.WORKER_LOST


class Expired(HannerError):
    """The request expired before a worker started it; allow more time, or start more workers.

    Requests of `extract` and `extract_many` expire a minute after their timeout, those of `submit` after `expires`.
    """

    code = ErrorCode.EXPIRED


class Revoked(HannerError):
    """The request was revoked before it was answered; send it again if you need its result.

    A request is revoked by `Job.revoke`, when an `AsyncClient` call is cancelled, when a consumer stops a stream early,
    and when the HTTP client of the gateway disconnects.
    """

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
