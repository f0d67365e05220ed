"""What a result in Redis means: entities, documents or a named error. Pure: bytes in, objects or errors out."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hanner import errors
from hanner.contract import Document, Entity, ExtractManyResult, ExtractResult
from hanner.errors import HannerError
from hanner.utils.json import loads

READY = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
"""Celery's states after which nothing more will come."""

Meta = Mapping[str, Any]
Result = TypeVar("Result", bound=BaseModel)

_NAMED = {cls.__name__: cls for cls in errors.CLASSES.values()}


def read_meta(payload: bytes | str) -> Meta | None:
    """Decode what Celery stored under a task's id; None while the task is not done.

    Raises:
        HannerError: the payload is not a result of Celery's.
    """
    try:
        meta = loads(payload)
        ready = meta["status"] in READY
    except (ValueError, LookupError, TypeError):
        raise HannerError(
            "what stands in Redis under this id is no result of Celery's; "
            "make sure that all workers use result_serializer='json' and that nothing else writes celery-task-meta-*"
        ) from None
    return meta if ready else None


def entities(meta: Meta) -> list[Entity]:
    """Return the entities of a `hanner.extract`.

    Raises:
        HannerError: its child that names why there are none.
    """
    return list(_success(meta, ExtractResult).entities)


def documents(meta: Meta, expected: int | None = None) -> list[Document]:
    """Return the documents of a `hanner.extract_many`, in order; `expected` is how many texts were sent, if known.

    Raises:
        HannerError: its child that names why there are none.
    """
    found = list(_success(meta, ExtractManyResult).documents)
    if expected is not None and len(found) != expected:
        raise HannerError(f"{expected} texts were sent and {len(found)} answers came back; update the worker")
    return found


Reader = Callable[[Meta], Any]
"""Turns a ready meta into what a job's caller gets: `entities` or `documents`."""


def _success(meta: Meta, model: type[Result]) -> Result:
    if meta["status"] != "SUCCESS":
        raise failure(meta)
    try:
        return model.model_validate(meta.get("result"))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the result"
        raise HannerError(
            f"the answer cannot be read ({place}: {first['msg']}); "
            "client and worker differ in version, or the job's id belongs to another task"
        ) from None


def failure(meta: Meta) -> HannerError:
    """Return the error that a FAILURE or REVOKED meta stands for."""
    result = meta.get("result")
    described = result if isinstance(result, Mapping) else {}
    kind = str(described.get("exc_type") or "")
    message = _sentence(described.get("exc_message"))
    if kind in _NAMED and str(described.get("exc_module", "")).startswith("hanner"):
        return _NAMED[kind](message or None)
    if kind in _FOREIGN:
        return _FOREIGN[kind](message)
    if meta["status"] == "REVOKED":
        return _revoked(message)
    if not kind:
        return HannerError("the worker reported a failure without saying which; its log may tell more")
    return errors.ModelFailed(f"the worker failed with {kind}: {message or 'no message'}; its log has the reason")


def _revoked(message: str) -> HannerError:
    return errors.Expired() if "expired" in message else errors.Revoked()


def _time_limit(message: str) -> HannerError:
    limit = f" ({message})" if message else ""
    return errors.TimedOut(
        f"the worker stopped this text at its time limit{limit}; send shorter texts or raise the limit"
    )


def _unknown_task(message: str) -> HannerError:
    return HannerError(f"the worker does not know this task ({message}); something else consumes hanner's queue")


_FOREIGN: dict[str, Callable[[str], HannerError]] = {
    "TaskRevokedError": _revoked,
    "Terminated": lambda _: errors.Revoked("the request was revoked while a worker was at it"),
    "TimeLimitExceeded": _time_limit,
    "SoftTimeLimitExceeded": _time_limit,
    "WorkerLostError": lambda _: errors.WorkerLost(),
    "NotRegistered": _unknown_task,
}
"""Exceptions of Celery's own, by name."""


def _sentence(message: Any) -> str:
    """Celery stores an exception's args (a list), its str, or nothing."""
    if isinstance(message, list | tuple):
        return ", ".join(str(part) for part in message)
    return "" if message is None else str(message)
