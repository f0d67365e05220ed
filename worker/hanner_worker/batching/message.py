"""What a task message must look like before Celery's code is trusted with it. Pure.

Celery reads headers as it finds them, and some of it runs in the event loop, where an exception ends the worker: the
message goes back to the queue and ends the next one. So everything that is used later is checked on arrival.
"""

from operator import itemgetter
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from hanner.utils.json import loads

LONGEST_ID = 1000
Id = Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Limits = Annotated[list[Seconds | None], Field(min_length=2, max_length=2)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


class _Headers(_Strict):
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


class _Signature(_Strict):
    task: Id


class _Embed(_Strict):
    callbacks: list[_Signature] | None = None
    errbacks: list[_Signature] | None = None
    chain: list[_Signature] | None = None
    chord: _Signature | None = None


_ids = itemgetter("id", "root_id")
_rest = itemgetter(
    "parent_id", "group", "group_index", "shadow", "retries", "timelimit", "ignore_result", "replaced_task_nesting",
    "stamped_headers", "stamps",
)  # fmt: skip
USUAL: tuple[Any, ...] = (None, None, None, None, 0, [None, None], False, 0, None, {})
"""What the headers of `_rest` are in a request of its own: nothing of it needs a closer look."""
PLAIN = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
"""What a body says about followers when there are none."""


def payload(message: Any) -> Any:
    """Decode a message's body as kombu does, but do not look at every object for types that are not there.

    Raises:
        Exception: what kombu raises, or a ValueError.
    """
    body = message.body
    if message.content_type != "application/json" or message.content_encoding != "utf-8" or b"__type__" in body:
        return message.payload
    return loads(body)


def check(headers: Any, embed: Any) -> None:
    """Check a message's headers and what its body says about followers, both as Celery's protocol 2 has them.

    Raises:
        ValueError: something has a wrong type or is out of range; it quotes nothing of the message.
    """
    if not _is_usual(headers):
        _Headers.model_validate(headers)
    if embed is not None and embed != PLAIN:
        _Embed.model_validate(embed)


def _is_usual(headers: Any) -> bool:
    """Tell whether headers are as nearly all are, in a tenth of the time that looking at each takes."""
    try:
        task_id, root_id = _ids(headers)
        return bool(_rest(headers) == USUAL) and _is_id(task_id) and (root_id == task_id or _is_id(root_id))
    except (LookupError, TypeError):
        return False


def _is_id(value: Any) -> bool:
    return type(value) is str and value.isascii() and 1 <= len(value) <= LONGEST_ID
