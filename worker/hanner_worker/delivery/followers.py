"""What follows the end of a request: messages of its next steps, results of steps that will not run, parts of chords.

Celery's own code makes them. Nothing is sent here: the messages and results are collected, so that Redis can store them
in the same step as the request's own result.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from celery import Celery, states
from celery.app.task import Context
from celery.backends.base import Backend
from celery.canvas import Signature, group, maybe_signature
from celery.exceptions import TaskRevokedError

from hanner_worker.delivery.channel import collect_messages
from hanner_worker.delivery.results import encode_result
from hanner_worker.payload import TaskPayload


class ChordPart(NamedTuple):
    """The end of one part of a chord.

    Attributes:
        request: Celery's request, with id, group, group_index and the chord's body.
        state: Celery's state.
        result: a JSON value, or the exception with which it failed.
    """

    request: Context
    state: str
    result: Any


@dataclass(slots=True)
class Followers:
    """What follows the end of one request, or of one chord.

    Attributes:
        messages: a list of Redis and a raw message each, to be queued.
        results: key, document, and expiry in seconds (0 is forever) of results of other tasks, to be stored.
        parts: parts of chords that have ended.
        children: the next steps, as Celery's result documents name them.
    """

    messages: list[tuple[str, str]] = field(default_factory=list)
    results: list[tuple[str, bytes, int]] = field(default_factory=list)
    parts: list[ChordPart] = field(default_factory=list)
    children: list[Any] = field(default_factory=list)


def followers_of_success(app: Celery, request: TaskPayload, result: Any) -> Followers:
    """Return what follows a request that has a result: links, the next step of its chain, its part of a chord.

    Raises:
        RedisError, OSError, OperationalError: Redis did not declare the queues of the next steps.
        Exception: a step is invalid.
    """
    context = Context(request.canvas)
    followers = Followers(parts=_own_part(context, states.SUCCESS, result))
    options = {"parent_id": request.id, "root_id": context.root_id or request.id}
    with collect_messages(followers.messages):
        sent = [step.apply_async((result,), **options) for step in _links(app, context)]
        if context.chain:
            step = maybe_signature(context.chain[-1], app=app)
            sent.append(step.apply_async((result,), chain=context.chain[:-1], **options))
    followers.children = [child.as_tuple() for child in sent]
    return followers


def _links(app: Celery, context: Context) -> Iterator[Signature]:
    """Yield the signatures that a request is linked to; like Celery, several ones are sent as one group."""
    single = []
    for link in context.callbacks or ():
        signature = maybe_signature(link, app=app)
        if isinstance(signature, group):
            yield signature
        else:
            single.append(signature)
    if single:
        yield single[0] if len(single) == 1 else group(single, app=app)


def followers_of_failure(app: Celery, request: TaskPayload, error: BaseException) -> Followers:
    """Return what follows a request that failed: errbacks, failures of its chain, parts of chords.

    As in Celery, only its own part of a chord follows a request that was revoked.

    Raises:
        RedisError, OSError, OperationalError: Redis did not declare the queues of the errbacks.
        Exception: an errback is invalid.
    """
    if isinstance(error, TaskRevokedError):
        return Followers(parts=_own_part(_context(request), states.REVOKED, error))
    recorder = _Recorder(app, request.id)
    with collect_messages(recorder.followers.messages):
        recorder.mark_as_failure(request.id, error, request=_context(request), store_result=not request.ignore_result)
    return recorder.followers


def followers_of_stored(app: Celery, request: TaskPayload, document: Mapping[str, Any]) -> Followers:
    """Return what still has to be done for a request whose result is stored: only its parts of chords.

    Its messages were queued in the same step in which its result was stored. Parts are counted once, however often they
    are returned.

    Args:
        app: the worker's app.
        request: the request.
        document: its stored result, as Celery's backend decodes it.
    """
    state, result = document.get("status"), document.get("result")
    if state != states.FAILURE:
        return Followers(parts=_own_part(Context(request.canvas), str(state), result))
    recorder = _Recorder(app, request.id)
    recorder.mark_as_failure(request.id, result, request=_context(request), call_errbacks=False)
    return Followers(parts=recorder.followers.parts)


def followers_of_chord_error(app: Celery, body: Signature, error: Exception) -> Followers:
    """Return what follows a chord whose body cannot run: the body's failure, and its errbacks.

    Must be called while the error is handled. For a body that this worker has, such as a group, Celery stores the
    failure itself.

    Raises:
        RedisError, OSError, OperationalError: Redis is unreachable, or refused.
    """
    recorder = _Recorder(app)
    with collect_messages(recorder.followers.messages):
        recorder.chord_error_from_stack(body, error)
    return recorder.followers


def _own_part(context: Context, state: str, result: Any) -> list[ChordPart]:
    return [ChordPart(context, state, result)] if context.chord else []


def _context(request: TaskPayload) -> Context:
    """Return Celery's request; errbacks look at `delivery_info`."""
    return Context({"delivery_info": {}, **(request.canvas or {})})


class _Recorder(Backend):  # type: ignore[misc]
    """Celery's code for failures, with its effects recorded instead of performed.

    Args:
        app: the worker's app.
        own_id: the request whose own result is not recorded, because it is stored with the rest.
    """

    def __init__(self, app: Celery, own_id: str | None = None) -> None:
        super().__init__(app)
        self.followers = Followers()
        self._own_id = own_id
        self._done = app.now().isoformat()

    def store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
        **_: Any,
    ) -> Any:
        """Record a failure that is to be stored."""
        del state, traceback
        if task_id != self._own_id:
            backend = self.app.backend
            parents = (getattr(request, "group", None), getattr(request, "parent_id", None))
            document, expires = encode_result(backend, TaskPayload(task_id, "", (), {}, *parents), result, self._done)
            self.followers.results.append((as_key(backend.get_key_for_task(task_id)), document, expires))
        return result

    def on_chord_part_return(self, request: Any, state: str, result: Any, **_: Any) -> None:
        """Record a part of a chord."""
        self.followers.parts.append(ChordPart(request, state, result))

    def get_state(self, task_id: str) -> str:
        """Return PENDING, so that Celery returns the part again: Redis counts a part once."""
        del task_id
        return str(states.PENDING)


def as_key(key: bytes | str) -> str:
    """Return a key of Celery's backend as a string."""
    return key.decode() if isinstance(key, bytes) else key
