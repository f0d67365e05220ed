"""The messages that a worker has fetched and not acknowledged, as Redis stores them. Each method is one Lua script.

The parent, its pool processes and the heartbeat thread all use it, each with a client of its own, because a client must
not be shared across a fork.
"""

import json
import logging
import math
import os
import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import uuid4

from celery import states
from redis.exceptions import RedisError

from hanner.contract import DEFAULT_MAX_REQUEST_BYTES
from hanner.queue.keys import QUEUES, QueueKeys
from hanner.utils.clock import RedisClock
from hanner_worker.delivery import scripts
from hanner_worker.delivery.decoding import KEPT_BYTES
from hanner_worker.delivery.results import decode_state, encode_result
from hanner_worker.payload import TaskPayload

logger = logging.getLogger(__name__)

MAX_FETCH = 1000
"""Maximum number of messages of one kind in a fetch."""
MAX_FETCH_BYTES = 4 << 20
"""Bytes of messages of one kind after which a fetch moves no further message."""
CRASH_TTL = 86_400
"""Seconds after the last crash for which crashes are remembered."""


class Outcome(StrEnum):
    """How a request ended, or why it has not. The Lua scripts return these names."""

    OK = "OK"
    """It has a result."""
    FAILED = "FAILED"
    """It has an error, which is stored as its result."""
    ALREADY_ANSWERED = "ALREADY_ANSWERED"
    """An earlier result is stored for it, and is kept."""
    FENCED = "FENCED"
    """The worker no longer owns it: it is in the queue again, or another worker has it. No events are sent about it."""
    RETRY_ISOLATED = "RETRY_ISOLATED"
    """The soft time limit of its batch passed; it is retried alone."""
    INTERRUPTED = "INTERRUPTED"
    """Its bulk batch was interrupted for interactive requests; the worker continues it later."""
    NOT_STORED = "NOT_STORED"
    """Its result could not be stored; it goes back to the queue."""


_OUTCOMES = {str(outcome).encode(): outcome for outcome in Outcome}


class Completion(NamedTuple):
    """The end of one request.

    Attributes:
        request: the request.
        outcome: OK, FAILED or ALREADY_ANSWERED.
        result: a JSON value, or the exception with which the request failed.
        dead_letter: its dead letter without the message; None if it gets none.
        store_result: the result is to be stored; else the message is only acknowledged.
        replace: True to overwrite the stored state, because it is not an answer.
        messages: next steps to be queued: a list of Redis and a raw message each.
        results: results of other tasks to be stored: key, document, and expiry in seconds.
        children: the next steps, as Celery's result documents name them.
        acknowledge: False to leave the message in flight, because something is left to do.
    """

    request: TaskPayload
    outcome: Outcome
    result: Any = None
    dead_letter: Mapping[str, Any] | None = None
    store_result: bool = True
    replace: bool = False
    messages: Sequence[tuple[str, str]] = ()
    results: Sequence[tuple[str, bytes, int]] = ()
    children: Sequence[Any] = ()
    acknowledge: bool = True


class FetchRequest(NamedTuple):
    """The messages of one kind that a fetch requests.

    Attributes:
        lists: the lists of Redis that have them; the first one is emptied first.
        max_messages: maximum number of messages, at most MAX_FETCH.
        round_up: round the worker's share up, because a process is idle or no other worker will fetch the rest soon.
        max_bytes: bytes of messages after which no further one is moved; so at least one message is, whatever its size.
    """

    lists: Sequence[str]
    max_messages: int
    round_up: bool = True
    max_bytes: int = MAX_FETCH_BYTES


class FetchResult(NamedTuple):
    """The messages that one fetch moved from the queue.

    Attributes:
        crashed_tasks: tasks of the queue that have a crash count; mostly 0.
        messages: tag and raw message, the oldest first; `decoding.decode` decodes one.
        next_alone: position of the request whose next message has to be fetched alone, because workers died that had
            just fetched it; else None.
        now: Redis' time, in Unix seconds.
        next_due: when the next scheduled message may start, in Unix seconds; None if none is scheduled.
    """

    crashed_tasks: int
    messages: list[tuple[str, bytes]]
    next_alone: int | None
    now: float
    next_due: float | None


class HeartbeatResult(NamedTuple):
    """The result of a heartbeat.

    Attributes:
        expired_workers: workers whose lease had expired.
        requeued: messages of theirs that are in the queue again.
        overdue: own messages that were requeued because they exceeded the visibility timeout.
        suspects: messages, of the requeued ones, that may have killed the worker that had just fetched them.
        too_old: dead letters that were deleted because they exceeded the maximum age.
        too_many: dead letters, the oldest, that were deleted because there were too many.
    """

    expired_workers: list[str]
    requeued: int
    overdue: int
    suspects: int = 0
    too_old: int = 0
    too_many: int = 0


@dataclass(slots=True)
class InFlightStore:
    """The in-flight messages of one worker.

    Attributes:
        keys: names of the queue's keys.
        lease: seconds after the last heartbeat for which the worker counts as alive.
        visibility_timeout: seconds after which a message that neither runs nor ended is requeued.
        worker_id: names the worker; its processes share it.
        clock: Redis' time, which the channel updates with each fetch.
        max_dead_letters: number of dead letters above which the oldest are deleted; 0 for no limit.
        dead_letter_ttl: seconds after which a dead letter is deleted; 0 for no limit.
        max_message_bytes: of larger messages only size, start and end are fetched; see `decoding.decode`.
        handled: number of the newest message that the parent has decoded; see `heartbeat`.
    """

    keys: QueueKeys
    lease: float
    visibility_timeout: float = 3600.0
    worker_id: str = field(default="", repr=False)
    clock: RedisClock = field(default_factory=RedisClock, repr=False)
    max_dead_letters: int = 0
    dead_letter_ttl: int = 0
    max_message_bytes: int = DEFAULT_MAX_REQUEST_BYTES
    handled: int = field(default=0, repr=False)
    _last_number: int = field(default=0, repr=False)
    _bulk_lists: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._bulk_lists = frozenset(self.keys.bulk_lists)
        if not self.worker_id:
            self.renew_worker_id()

    def __json__(self) -> str:
        """Return the value that `celery inspect stats` shows for this transport option."""
        return self.worker_id

    def renew_worker_id(self) -> None:
        """Set a new worker id; a worker calls this when it starts."""
        self.worker_id = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"

    @property
    def _own_keys(self) -> list[str]:
        keys, worker_id = self.keys, self.worker_id
        return [keys.unacked(worker_id), keys.claimed_at(worker_id), keys.running(worker_id)]

    def is_bulk(self, tag: str) -> bool:
        """Return whether a message came from the bulk queue."""
        return list_of(tag) in self._bulk_lists  # called several times for each message

    def fetch_command(self, *requests: FetchRequest) -> tuple[list[str], list[Any]]:
        """Return keys and arguments of FETCH, for a caller that pipelines it; the first kind is fetched first."""
        unacked, claimed_at, _ = self._own_keys
        names = self.keys
        keys = [names.leases, unacked, claimed_at, names.crashes, names.scheduled, names.scheduled_messages]
        args: list[Any] = [
            self.worker_id,
            int(self.lease * 1000),
            self._last_number,
            self.max_message_bytes,
            KEPT_BYTES,
        ]
        for request in requests:
            count = min(request.max_messages, MAX_FETCH)
            keys += request.lists
            args += [len(request.lists), count, request.max_bytes, "up" if request.round_up else "down"]
            self._last_number += count  # a number is never used again, even if the reply is lost
        return keys, args

    @staticmethod
    def parse_fetch(reply: Any) -> FetchResult:
        """Return the reply of FETCH, decoded."""
        crashed_tasks, flat, next_alone, now, next_due = reply
        messages = [(tag.decode(), raw) for tag, raw in zip(flat[::2], flat[1::2], strict=True)]
        return FetchResult(
            crashed_tasks,
            messages,
            None if next_alone < 0 else next_alone,
            now / 1000,
            None if next_due < 0 else next_due / 1000,
        )

    def crash_counts(self, client: Any, task_ids: Sequence[str]) -> list[int]:
        """Return for each task how many processes died while they worked on it.

        Raises:
            RedisError: Redis is unreachable, or refused.
        """
        return [int(count or 0) for count in client.hmget(self.keys.crashes, task_ids)] if task_ids else []

    def start(self, backend: Any, requests: Sequence[TaskPayload]) -> list[tuple[Outcome, str]]:
        """Record that a process works on requests from now on.

        If Redis is unreachable, all of them may run: `complete` checks later whether the worker still owns them.

        Returns:
            For each: OK, FENCED or ALREADY_ANSWERED, and Celery's state of the stored result, empty without one.
        """
        _, claimed_at, running = self._own_keys
        task_ids = [request.id for request in requests]
        results = [backend.get_key_for_task(task_id) for task_id in task_ids]
        args = [*(request.tag for request in requests), *task_ids]
        try:
            outcomes, stored = scripts.START([claimed_at, running, *results], args, backend.client)
        except (RedisError, OSError) as error:
            logger.warning("the start of a batch could not be recorded in Redis: %s", type(error).__name__)
            return [(Outcome.OK, "")] * len(requests)
        states_ = _states_of(backend, stored)
        return [
            (Outcome.ALREADY_ANSWERED if state in states.READY_STATES else _OUTCOMES[outcome], state)
            for outcome, state in zip(outcomes, states_, strict=True)
        ]

    def complete(self, backend: Any, completions: Sequence[Completion], done: str = "") -> list[Outcome]:
        """Store and announce results, queue the next steps, and acknowledge, of the requests that the worker owns.

        The first answer to a task is kept. What follows a request is queued in the step in which its result is stored.
        If the reply is lost, call again with the same `done`: nothing is repeated.

        Args:
            backend: the app's Redis backend: its keys, encoding, expiry and client are used.
            completions: how the requests ended.
            done: when they ended, in ISO 8601; by default now.

        Returns:
            For each its outcome; ALREADY_ANSWERED if an earlier result was kept, FENCED if nothing was stored because
            the worker no longer owns it.

        Raises:
            RedisError: Redis is unreachable, or refused; the messages are still in flight.
        """
        if not completions:
            return []
        done = done or backend.app.now().isoformat()
        results = [backend.get_key_for_task(completion.request.id) for completion in completions]
        keys = [*self._own_keys, self.keys.crashes, self.keys.dead, self.keys.dead_index, *results]
        args: list[Any] = [len(completions)]
        for completion in completions:
            args += _complete_args(backend, completion, done)
        for completion in completions:
            if completion.messages or completion.results:
                follower_keys, follower_args = scripts.follower_args(completion.messages, completion.results)
                keys += follower_keys
                args += follower_args
        *replies, skipped = scripts.COMPLETE(keys, args, backend.client)
        if skipped:
            logger.error("%d next steps were not queued: the names of their queues are in use", skipped)
        return [
            completion.outcome if reply == b"OK" else _OUTCOMES[reply]
            for completion, reply in zip(completions, replies, strict=True)
        ]

    def ack(self, client: Any, tags: Sequence[str], task_ids: Sequence[str], requeued: Sequence[str]) -> list[str]:
        """Acknowledge messages without a result, and requeue others; return the tags that are left to be requeued.

        Args:
            client: a client of Redis.
            tags: messages to acknowledge.
            task_ids: tasks whose crash count is removed.
            requeued: messages to requeue.

        Raises:
            RedisError: Redis is unreachable, or refused.
        """
        args: list[Any] = [len(tags), *tags, len(task_ids), *task_ids, *requeued]
        return [tag.decode() for tag in scripts.ACK([*self._own_keys, self.keys.crashes], args, client)]

    def schedule(
        self, backend: Any, messages: Sequence[tuple[str, str, float]], unfinished: Collection[str] = ()
    ) -> list[tuple[Outcome, str]]:
        """Move messages from this worker to the schedule.

        From there `fetch` moves them back to their lists when their time has come, in this worker or another one.

        Args:
            backend: the app's Redis backend.
            messages: tag, task id, and the time by Redis' clock, in Unix seconds.
            unfinished: tags of messages that stay in flight if they have a result, because something is left to do.

        Returns:
            For each: OK; FENCED if the worker no longer owns it; ALREADY_ANSWERED if it has a result, and was
            acknowledged unless its tag is in `unfinished`. And Celery's state of that result, empty without one.

        Raises:
            RedisError: Redis is unreachable, or refused.
        """
        results = [backend.get_key_for_task(task_id) for _, task_id, _ in messages]
        keys = [*self._own_keys, self.keys.scheduled, self.keys.scheduled_messages, *results]
        args: list[Any] = []
        for tag, task_id, due in messages:
            args += [tag, task_id, math.ceil(due * 1000), "hold" if tag in unfinished else "ack"]
        outcomes, stored = scripts.SCHEDULE(keys, args, backend.client)
        states_ = _states_of(backend, stored)
        return [(_OUTCOMES[outcome], state) for outcome, state in zip(outcomes, states_, strict=True)]

    def requeue(self, client: Any, keep: Iterable[str] = ()) -> int:
        """Requeue all unacknowledged messages except those with the tags in `keep`; return how many.

        Raises:
            RedisError: Redis is unreachable, or refused.
        """
        return _repeat(lambda: scripts.REQUEUE(self._own_keys, list(keep), client))

    def ended_states(self, backend: Any, tags: Sequence[str], task_ids: Sequence[str]) -> list[str]:
        """Return for each request Celery's state of its result, if it has one and its message is no longer in flight.

        If its process was lost in the meantime, that process has stored the result and acknowledged the message. For
        the others the state is empty.

        Args:
            backend: the app's Redis backend.
            tags: the delivery tags of the requests' messages.
            task_ids: the requests' ids.

        Raises:
            RedisError: Redis is unreachable, or refused.
        """
        if not tags:
            return []
        _, claimed_at, _ = self._own_keys
        with backend.client.pipeline() as pipe:
            pipe.zmscore(claimed_at, tags)
            pipe.mget([backend.get_key_for_task(task_id) for task_id in task_ids])
            claims, documents = pipe.execute()
        return [
            state if claim is None and state in states.READY_STATES else ""
            for claim, state in zip(claims, _states_of(backend, documents), strict=True)
        ]

    def count_crashes(self, client: Any, tags: Sequence[str], task_ids: Sequence[str]) -> list[int | None]:
        """Count a crash for each task; return how many there were, or None for a message that it no longer owns.

        Raises:
            RedisError: Redis is unreachable, or refused.
        """
        _, claimed_at, running = self._own_keys
        keys = [claimed_at, running, self.keys.crashes]
        reply: list[int | None] = scripts.CRASHED(keys, [CRASH_TTL, *tags, *task_ids], client)
        return reply

    def heartbeat(self, client: Any, status: Mapping[str, Any]) -> HeartbeatResult:
        """Renew the lease, write the worker's status, and requeue the messages of workers whose lease has expired.

        Delete the dead letters that exceed the limits.

        Of an expired worker's last fetch, a takeover is counted for each message, unless the worker had handled them
        before its last heartbeat or a process has started one of them. A message with takeovers is fetched alone.

        Args:
            client: a client of Redis.
            status: fields of the worker's hash; see QueueKeys.worker.

        Raises:
            RedisError: Redis is unreachable, or refused.
        """
        names = self.keys
        keys = [names.leases, *self._own_keys, names.crashes, names.worker(self.worker_id), QUEUES]
        keys += [names.dead, names.dead_index]
        prefixes = [names.unacked(""), names.claimed_at(""), names.running(""), names.worker("")]
        args: list[Any] = [
            self.worker_id,
            int(self.lease * 1000),
            int(self.visibility_timeout * 1000),
            CRASH_TTL,
            *prefixes,
            names.queue,
            self.max_dead_letters,
            self.dead_letter_ttl,
            "handled",
            self.handled,
            *(part for pair in status.items() for part in pair),
        ]
        expired_workers: list[str] = []
        requeued = overdue = suspects = too_old = too_many = 0
        more = True
        while more:
            moved, expired, late, more, suspected, old, excess = scripts.HEARTBEAT(keys, args, client)
            expired_workers += [worker_id.decode() for worker_id in expired]
            requeued, overdue, suspects = requeued + moved, overdue + late, suspects + suspected
            too_old, too_many = too_old + old, too_many + excess
        return HeartbeatResult(expired_workers, requeued, overdue, suspects, too_old, too_many)

    def deregister(self, client: Any) -> int:
        """Requeue all unacknowledged messages and end the lease; return how many messages were requeued.

        Raises:
            RedisError: Redis is unreachable, or refused.
        """
        keys = [self.keys.leases, *self._own_keys, self.keys.worker(self.worker_id)]
        return _repeat(lambda: scripts.DEREGISTER(keys, [self.worker_id], client))


def _complete_args(backend: Any, completion: Completion, done: str) -> list[Any]:
    """Return the arguments of COMPLETE for one request."""
    request, document, expires = completion.request, b"", 0
    if completion.store_result:
        document, expires = encode_result(backend, request, completion.result, done, completion.children)
    options: dict[str, Any] = {}
    if completion.replace:
        options["replace"] = True
    if completion.dead_letter is not None:
        options["dead_letter"] = json.dumps(completion.dead_letter)[:-1] + ', "message": '
        options["dead_at"] = repr(completion.dead_letter["at"])  # a string, because cjson would round a number
    if not completion.acknowledge:
        options["hold"] = True
    if followers := len(completion.messages) + len(completion.results):
        options["followers"] = followers
    return [request.tag, request.id, document, expires, request.replies, json.dumps(options) if options else ""]


def _states_of(backend: Any, documents: Iterable[bytes | None]) -> list[str]:
    """Return Celery's state of each stored result, empty for None."""
    return ["" if document is None else decode_state(backend, document) for document in documents]


def _repeat(script: Callable[[], tuple[int, int]]) -> int:
    """Call a script that moves some messages and returns how many, and how many are left; return how many in all."""
    moved, left = script()
    while left:
        more, left = script()
        moved += more
    return moved


def number_of(tag: str) -> int:
    """Return the number of a message among all that its worker has fetched."""
    return int(tag[:15])


def list_of(tag: str) -> str:
    """Return the list of Redis that a message came from."""
    return tag[16:]  # after the number and a space, see fetch.lua
