"""Decodes and validates task messages before Celery's code reads them. No I/O.

Celery does not validate headers, and some of its code runs in the event loop, where an exception ends the worker: the
message is requeued and ends the next worker. So everything that is used later is validated on arrival.
"""

from datetime import UTC, datetime
from operator import itemgetter
from typing import Annotated, Any, TypeGuard

from celery.utils.time import maybe_iso8601, maybe_make_aware
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hanner.utils.json import loads
from hanner_worker.delivery.decoding import MAX_ID_LENGTH, check_elements

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Limits = Annotated[list[Seconds | None], Field(min_length=2, max_length=2)]


_STRICT = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


class _Headers(BaseModel):
    model_config = _STRICT

    id: Id
    root_id: Id | None = None
    parent_id: Id | None = None
    group: Id | None = None
    group_index: int | None = None
    shadow: str | None = None
    retries: int | None = None
    timelimit: Limits | tuple[None, None] | None = None  # Celery's older protocol leaves a tuple
    ignore_result: bool | None = None
    replaced_task_nesting: int | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None


def _validate_time(value: str) -> str:
    if maybe_iso8601(value) is None:
        raise ValueError
    return value


Time = Annotated[str, AfterValidator(_validate_time)]


class _AllHeaders(_Headers):
    """The headers with those that Celery's request validates itself."""

    eta: Time | None = None
    expires: Time | None = None


_TIME_HINT = "send a time as in 2026-01-31T12:00:00+00:00"
_HEADER_HINTS = {
    "eta": _TIME_HINT,
    "expires": _TIME_HINT,
    "timelimit": "send [HARD, SOFT] in seconds, where null is no limit",
}

_validate_id = TypeAdapter(Id, config=ConfigDict(strict=True, hide_input_in_errors=True)).validate_python


def _validate_task(signature: dict[str, Any]) -> dict[str, Any]:
    _validate_id(signature.get("task"))
    return signature


Signature = Annotated[dict[str, Any], AfterValidator(_validate_task)]


class _Embed(BaseModel):
    model_config = _STRICT

    callbacks: list[Signature] | None = None
    errbacks: list[Signature] | None = None
    chain: list[Signature] | None = None
    chord: Signature | None = None


_get_ids = itemgetter("id", "root_id")
_get_optional = itemgetter(
    "parent_id", "group", "group_index", "shadow", "retries", "timelimit", "ignore_result", "replaced_task_nesting",
    "stamped_headers", "stamps",
)  # fmt: skip
DEFAULTS: tuple[Any, ...] = (None, None, None, None, 0, [None, None], False, 0, None, {})
"""Values of the headers of `_get_optional` in nearly all messages."""
_TIME_LENGTHS = frozenset({len("2026-01-31T12:00:00+00:00"), len("2026-01-31T12:00:00.000000+00:00")})
NO_CANVAS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
"""The third element of a body without callbacks, chain and chord."""


def parse_time(value: Any) -> Any:
    """Return a header's time as Celery reads it, in a tenth of the time if it is written as Celery and hanner do."""
    if type(value) is str and len(value) in _TIME_LENGTHS and value[10] == "T" and value.endswith("+00:00"):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    return maybe_iso8601(value)


def to_timezone(time_: datetime, timezone: Any) -> datetime:
    """Return a header's time in the app's time zone, as Celery does; None is UTC."""
    return time_ if timezone is None and time_.tzinfo is UTC else maybe_make_aware(time_, timezone)


def decode_body(message: Any) -> Any:
    """Return a message's body, decoded as kombu does; kombu's search for special types is skipped without any.

    Raises:
        Exception: what kombu raises, or a ValueError.
    """
    body = message.body
    check_elements(body)
    if message.content_type != "application/json" or message.content_encoding != "utf-8" or b"__type__" in body:
        return message.payload
    return loads(body)


def validate(headers: Any, embed: Any) -> None:
    """Validate the headers of a message, and the callbacks, chain and chord of its body, as of Celery's protocol 2.

    Raises:
        ValueError: something has a wrong type or is out of range; the error does not quote the message.
    """
    if not _has_defaults(headers):
        _Headers.model_validate(headers)
    if embed is not None and embed != NO_CANVAS:
        _Embed.model_validate(embed)


def describe_wrong_header(headers: dict[str, Any]) -> str | None:
    """Return what is wrong with the headers of a message that was refused, without its values; None if nothing is."""
    try:
        _AllHeaders.model_validate(headers)
    except ValidationError as error:
        name = str(error.errors(include_input=False, include_context=False)[0]["loc"][0])
        return f"the header {name} of the message is not valid; {_HEADER_HINTS.get(name, 'send it as Celery does')}"
    return None


def make_canvas(headers: dict[str, Any], embed: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return Celery's request as a dict if callbacks, a chain or a chord follow its result, else None."""
    if embed is None or embed == NO_CANVAS or not any(map(embed.get, NO_CANVAS)):
        return None
    return {**headers, **embed, "is_eager": False}


def _has_defaults(headers: Any) -> bool:
    """Return whether headers are valid and have the default values; it takes a tenth of the time of pydantic."""
    try:
        task_id, root_id = _get_ids(headers)
        return bool(_get_optional(headers) == DEFAULTS) and _is_id(task_id) and (root_id == task_id or _is_id(root_id))
    except (LookupError, TypeError):
        return False


def is_valid_id(value: Any) -> TypeGuard[str]:
    """Return whether a value can be the id of a request."""
    return isinstance(value, str) and 1 <= len(value) <= MAX_ID_LENGTH


def _is_id(value: Any) -> bool:
    return type(value) is str and value.isascii() and 1 <= len(value) <= MAX_ID_LENGTH
