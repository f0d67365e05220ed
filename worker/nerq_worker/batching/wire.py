"""What a task message must look like before Celery's code is trusted with it. Pure.

Celery reads headers as it finds them, and some of it runs in the event loop, where an exception ends the worker: the
message goes back to the queue and ends the next one. So everything that is used later is checked on arrival.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(min_length=1, max_length=1000)]
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


def check(headers: Any, embed: Any) -> None:
    """Check a message's headers and what its body says about followers, both as Celery's protocol 2 has them.

    Raises:
        ValueError: something has a wrong type or is out of range; it quotes nothing of the message.
    """
    _Headers.model_validate(headers)
    if embed is not None:
        _Embed.model_validate(embed)
