"""The request as it travels from the worker's parent to a pool process, and the check of its arguments. No I/O."""

import pickle
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import starmap
from typing import Any, NamedTuple

from hanner.contract import EXTRACT, HEADER, redact_args, text_error, texts_error
from hanner.errors import InvalidText
from hanner.queue.keys import replies_channel

REPLIES = re.compile(r"[0-9a-f]{32}")
"""Names of channels that clients may choose, so that no message can make a worker publish on another one."""


class TaskPayload(NamedTuple):
    """One request, as a pool process receives it.

    Attributes:
        id: the task id.
        task: the task's name.
        args: positional arguments as they were received, not validated.
        kwargs: keyword arguments as they were received, not validated.
        group: id of its group, for the result.
        parent: id of its parent, for the result.
        ignore_result: its result is not stored.
        canvas: Celery's whole request if callbacks, a chain or a chord follow its result, else None.
        tag: delivery tag of its message.
        crashes: processes that died while they worked on it so far.
        progress: what a process found before it was interrupted.
        replies: channel that its result is published on in addition to Celery's; empty for none.
    """

    id: str
    task: str
    args: Any
    kwargs: Any
    group: str | None = None
    parent: str | None = None
    ignore_result: bool = False
    canvas: dict[str, Any] | None = None
    tag: str = ""
    crashes: int = 0
    progress: bytes = b""
    replies: str = ""

    def __repr__(self) -> str:
        return f"<{self.task}[{self.id}]{redact_args(self.args)}>"

    def validate(self, max_chars: int) -> list[tuple[Any, InvalidText | None]]:
        """Return each text with its error, or with None if it is valid.

        Args:
            max_chars: maximum number of code points in a text.

        Raises:
            InvalidText: the request as a whole is invalid.
        """
        argument = get_argument(self.task, self.args, self.kwargs)
        if self.task == EXTRACT:
            texts = [argument]
        elif (fault := texts_error(argument)) is not None:
            raise InvalidText(fault)
        else:
            texts = list(argument)
        faults = [(text, text_error(text, max_chars)) for text in texts]
        return [(text, None if fault is None else InvalidText(fault)) for text, fault in faults]


def dump_payloads(payloads: Iterable[TaskPayload]) -> bytes:
    """Return requests for the pipe to a process, pickled as plain tuples: that takes a tenth of the time.

    Raises:
        Exception: arguments are nested too deeply.
    """
    return pickle.dumps(list(map(tuple, payloads)), pickle.HIGHEST_PROTOCOL)


def load_payloads(data: bytes) -> list[TaskPayload]:
    """Return requests that the parent has dumped."""
    return list(starmap(TaskPayload, pickle.loads(data)))  # noqa: S301 - received through our own pipe


def get_argument(task: str, args: Any, kwargs: Any) -> Any:
    """Return the one argument of a request, passed by position or by name.

    Raises:
        InvalidText: it has another number of arguments or another name.
    """
    name = "text" if task == EXTRACT else "texts"
    if isinstance(args, list | tuple) and len(args) == 1 and not kwargs:
        return args[0]
    if not args and isinstance(kwargs, Mapping) and list(kwargs) == [name]:
        return kwargs[name]
    positional = len(args) if isinstance(args, list | tuple) else 0
    named = len(kwargs) if isinstance(kwargs, Mapping) else 0
    raise InvalidText(f"{task} takes one argument, {name}; it was sent {positional} by position and {named} by name")


def replies_of(headers: Any) -> str:
    """Return the channel on which the sender of a message receives its result; empty if it names none."""
    header = headers.get(HEADER) if isinstance(headers, dict) else None
    name = header.get("replies") if isinstance(header, dict) else None
    return _valid_channel(name) if isinstance(name, str) else ""


@lru_cache(maxsize=1024)  # a client's requests share one string, which is pickled once per batch
def _valid_channel(name: str) -> str:
    return replies_channel(name) if REPLIES.fullmatch(name) else ""


def texts_of(task: str, args: Any, kwargs: Any) -> list[Any]:
    """Return the texts of a request without validating them, to estimate its size; none if its arguments are wrong."""
    try:
        argument = get_argument(task, args, kwargs)
    except InvalidText:
        return []
    if task == EXTRACT:
        return [argument]
    return list(argument) if texts_error(argument) is None else []
