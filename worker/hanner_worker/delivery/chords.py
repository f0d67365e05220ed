"""Count the parts of chords, and queue the body when all have ended. Compatible with Celery's Redis backend.

Celery's script counts each part once, and lets one process claim the body. Celery then queues the body and deletes the
chord's keys in two steps; here one script does both, so a process that is killed between them loses nothing and repeats
nothing. A claim expires, so that another process can take over.
"""

import logging
from typing import Any
from uuid import uuid4

from billiard.exceptions import SoftTimeLimitExceeded
from celery import Celery
from celery.canvas import Signature, maybe_signature
from celery.exceptions import ChordError
from celery.result import GroupResult, allow_join_result
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from hanner_worker.delivery import scripts
from hanner_worker.delivery.channel import collect_messages
from hanner_worker.delivery.followers import ChordPart, Followers, as_key, followers_of_chord_error

logger = logging.getLogger(__name__)

CLAIM_SECONDS = 2
"""How long other processes wait for the body of a chord if the process that claimed it dies. A process queues nothing
if another one has the claim by then, so this may be short."""
DONE_SECONDS = 300
"""How long a finished chord is remembered, for parts that are delivered again; as in Celery."""
TRANSIENT = (RedisError, OSError, OperationalError)
"""Errors of Redis and of the connection to it, after which an operation is tried again."""


def return_part(app: Celery, part: ChordPart) -> bool:
    """Count a part of a chord; if it was the last one, queue the body, or fail the chord if a part has failed.

    Returns:
        False if all parts have ended and another process has claimed the body, but has not queued it yet. Then call
        again later, because that process may have died.

    Raises:
        RedisError, OSError, OperationalError: Redis is unreachable, or refused; call again later.
    """
    request, backend = part.request, app.backend
    if not request.group or not request.id:
        return True
    names = (as_key(backend.get_key_for_group(request.group, suffix)) for suffix in (".j", ".t", ".s", ".d", "", ".c"))
    joined, diff, size, members, group, claim = names
    index = "+inf" if request.group_index is None else request.group_index
    encoded = backend.encode([1, request.id, part.state, backend.encode_result(part.result, part.state)])
    ordered = 1 if backend._chord_zset else 0  # noqa: SLF001
    expiries = (backend.chord_expires or 0, backend._chord_result_expires)  # noqa: SLF001
    token = uuid4().hex
    count, more, expected, claimed = backend._chord_part_return_script(  # noqa: SLF001
        keys=[joined, diff, size, members, group, claim],
        args=[request.id, encoded, ordered, index, *expiries, CLAIM_SECONDS, token],
        client=backend.client,
    )
    if count == -1 or not expected or count != int(expected) + int(more or 0):
        return True
    if not claimed:
        return False
    followers = _finish(app, part, joined, int(count), ordered=bool(ordered))
    keys = [claim, joined, diff, size, members]
    skipped = scripts.FINISH_CHORD(*_finish_command(keys, token, followers), backend.client)
    if skipped > 0:
        logger.error("the body of a chord was not queued: the name of its queue is in use")
    return bool(skipped >= 0)


def _finish_command(keys: list[str], token: str, followers: Followers) -> tuple[list[str], list[Any]]:
    follower_keys, follower_args = scripts.follower_args(followers.messages, followers.results)
    return [*keys, *follower_keys], [token, DONE_SECONDS, *follower_args]


def _finish(app: Celery, part: ChordPart, joined: str, count: int, *, ordered: bool) -> Followers:
    """Return what follows the last part: the body's message, or its failure and its errbacks."""
    body = maybe_signature(part.request.chord, app=app)
    try:
        return _body(body, _results(app, part.request.group, joined, count, ordered=ordered))
    except (SoftTimeLimitExceeded, *TRANSIENT):
        raise
    except ChordError as error:  # its message may quote another task's error
        logger.warning("a chord failed, because one of its parts did")
        return followers_of_chord_error(app, body, error)
    except Exception as error:  # noqa: BLE001 - whatever a client sends as the body
        logger.warning("a chord failed, because its body cannot be sent: %s", type(error).__name__)
        return followers_of_chord_error(app, body, ChordError(f"Callback error: {error!r}"))


def _results(app: Celery, group: str, joined: str, count: int, *, ordered: bool) -> list[Any]:
    """Return the results of a chord's parts.

    Raises:
        ChordError: a part has failed, or its result cannot be read.
    """
    backend = app.backend
    nested = GroupResult.restore(group, app=app)  # stored if a part is a group itself
    if nested is None:
        encoded = backend.client.zrange(joined, 0, -1) if ordered else backend.client.lrange(joined, 0, count)
        return [backend._unpack_chord_result(result, backend.decode) for result in encoded]  # noqa: SLF001
    nested.on_ready()
    try:
        with allow_join_result():
            results: list[Any] = nested.join_native(timeout=app.conf.result_chord_join_timeout, propagate=True)
    except (SoftTimeLimitExceeded, *TRANSIENT):
        raise
    except Exception as error:
        raise ChordError(f"Join error: {error!r}") from error
    return results


def _body(body: Signature, results: list[Any]) -> Followers:
    followers = Followers()
    with collect_messages(followers.messages):
        body.delay(results)
    return followers
