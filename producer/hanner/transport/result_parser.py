"""Parses stored results: into entities, documents or an error. Pure: bytes in, objects or errors out."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hanner import errors
from hanner.errors import HannerError
from hanner.results import Document, EntityList, ExtractManyResult, ExtractResult
from hanner.utils.json import loads

FINAL_STATES = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
"""Celery's states of a task that is done."""

Meta = Mapping[str, Any]
"""The object that Celery stores for a task: status, result and more."""
Result = TypeVar("Result", bound=BaseModel)

_HANNER_ERRORS = {cls.__name__: cls for cls in errors.CLASSES.values()}


def parse_meta(payload: bytes | str) -> Meta | None:
    """Return the task meta that Celery stored, or None if the task is not done.

    Raises:
        HannerError: the payload is not a result of Celery.
    """
    try:
        meta = loads(payload)
        is_done = meta["status"] in FINAL_STATES
    except (ValueError, LookupError, TypeError):
        raise HannerError(
            "the value stored in Redis for this id is not a Celery result; "
            "make sure that all workers use result_serializer='json' and that nothing else writes celery-task-meta-*"
        ) from None
    return meta if is_done else None


def parse_entities(meta: Meta) -> EntityList:
    """Return the entities of a finished `hanner.extract`.

    Raises:
        HannerError: the request failed; the subclass names the reason.
    """
    result = _success(meta, ExtractResult)
    return EntityList(result.entities, result.model)


def parse_documents(meta: Meta, expected: int | None = None) -> list[Document]:
    """Return the documents of a finished `hanner.extract_many`, in order.

    Args:
        meta: The task meta.
        expected: Number of texts that were sent, if known.

    Raises:
        HannerError: the request failed; the subclass names the reason.
    """
    documents = list(_success(meta, ExtractManyResult).documents)
    if expected is not None and len(documents) != expected:
        raise HannerError(f"{expected} texts were sent and {len(documents)} results came back; update the worker")
    return documents


def _success(meta: Meta, model: type[Result]) -> Result:
    if meta["status"] != "SUCCESS":
        raise parse_failure(meta)
    try:
        return model.model_validate(meta.get("result"))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the result"
        raise HannerError(
            f"the result cannot be read ({field}: {first['msg']}); "
            "client and worker differ in version, or the job's id belongs to another task"
        ) from None


def parse_failure(meta: Meta) -> HannerError:
    """Return the error of a task with the status FAILURE or REVOKED."""
    result = meta.get("result")
    described = result if isinstance(result, Mapping) else {}
    kind = str(described.get("exc_type") or "")
    message = _exception_message(described.get("exc_message"))
    if kind in _HANNER_ERRORS and str(described.get("exc_module", "")).startswith("hanner"):
        return _HANNER_ERRORS[kind](message or None)
    if kind in _CELERY_ERRORS:
        return _CELERY_ERRORS[kind](message)
    if meta["status"] == "REVOKED":
        return _revoked(message)
    if not kind:
        return HannerError("the worker reported a failure without a reason; see its log")
    return errors.ModelFailed(f"the worker failed with {kind}: {message or 'no message'}; see its log for the reason")


def _revoked(message: str) -> HannerError:
    if "expired" not in message:
        return errors.Revoked()
    if message == "expired":  # Celery's own workers
        return errors.Expired()
    return errors.Expired(
        f"the request {message}; allow more time, start more workers, or correct the clock that is wrong: hanner doctor"
    )


def _time_limit(message: str) -> HannerError:
    limit = f" ({message})" if message else ""
    return errors.TimedOut(
        f"the worker stopped this text at its time limit{limit}; send shorter texts, or raise the limit"
    )


def _unknown_task(message: str) -> HannerError:
    return HannerError(f"the worker does not know this task ({message}); another program consumes hanner's queue")


_CELERY_ERRORS: dict[str, Callable[[str], HannerError]] = {
    "TaskRevokedError": _revoked,
    "Terminated": lambda _: errors.Revoked("the request was revoked while a worker was running it"),
    "TimeLimitExceeded": _time_limit,
    "SoftTimeLimitExceeded": _time_limit,
    "WorkerLostError": lambda _: errors.WorkerLost(),
    "NotRegistered": _unknown_task,
}
"""Celery's own exceptions, by name."""


def _exception_message(message: Any) -> str:
    """Return one string: Celery stores an exception's args (a list), its str, or nothing."""
    if isinstance(message, list | tuple):
        return ", ".join(str(part) for part in message)
    return "" if message is None else str(message)
