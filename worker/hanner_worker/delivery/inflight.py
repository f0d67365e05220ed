"""What one worker holds of its queue, as Redis knows it. Parent, pool processes and the keeper's thread all use it.

Every method is one step of Redis', and needs a client of the caller's: none of them may be shared across a fork.
"""

import json
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from hanner.queue.keys import QUEUES, QueueKeys
from hanner_worker.delivery import scripts

MAX_FETCH = 1000
"""Messages of a kind taken in one step."""
DEATHS_KEPT = 86_400
"""Seconds after the last death for which deaths are remembered."""


@dataclass(frozen=True, slots=True)
class End:
    """How one held message ends.

    Attributes:
        tag: the message.
        task_id: its task.
        key: where the result goes, and the channel it is announced on.
        payload: the encoded result; None stores nothing.
        expires: seconds the result is kept; 0 for ever.
        overwrite: what is stored there is no answer, and gives way.
        letter: its dead letter but for the message, if it is to be set aside.
    """

    tag: str
    task_id: str
    key: Any
    payload: Any = None
    expires: int = 0
    overwrite: bool = False
    letter: Mapping[str, Any] | None = None

    def args(self) -> list[Any]:
        """Return it as FINISH takes it."""
        letter, at = "", 0
        if self.letter is not None:
            letter, at = json.dumps(self.letter)[:-1] + ', "message": ', self.letter["at"]
        payload = "" if self.payload is None else self.payload
        return [self.tag, self.task_id, payload, self.expires, "1" if self.overwrite else "", letter, at]


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What a worker wants of one kind of messages.

    Attributes:
        lists: Redis' lists, the first to be emptied first.
        most: how many messages at most; MOST is the limit.
        last: take also what cannot be shared, because a process waits for it or nobody else comes soon.
    """

    lists: Sequence[str]
    most: int
    last: bool = True


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What one step took from the queue.

    Attributes:
        deaths: tasks of the queue that somebody died under; mostly 0.
        messages: tag and raw message, the oldest first.
    """

    deaths: int
    messages: list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class HeartbeatResult:
    """What a renewal of the lease brought.

    Attributes:
        owners: workers whose lease had lapsed.
        taken_back: messages of theirs that are in the queue again.
        overdue: own messages that were held for longer than the visibility timeout, and went back.
    """

    owners: list[str]
    taken_back: int
    overdue: int


@dataclass(slots=True)
class InFlightStore:
    """One worker's account of what it holds.

    Attributes:
        keys: names of the queue's keys.
        lease: seconds for which a worker that says nothing counts as alive.
        visibility: seconds after which what neither runs nor ended goes back to the queue.
        owner: the worker; its processes share it.
    """

    keys: QueueKeys
    lease: float
    visibility: float = 3600.0
    owner: str = field(default="", repr=False)
    _number: int = field(default=0, repr=False)
    _bulk: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._bulk = frozenset(self.keys.bulk_lists)
        if not self.owner:
            self.become_owner()

    def __json__(self) -> str:
        """Return what `celery inspect stats` shows of it, for it stands among the transport's options."""
        return self.owner

    def become_owner(self) -> None:
        """Make this process an owner of its own; a worker does so once, when it starts."""
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"

    @property
    def _mine(self) -> list[str]:
        keys, owner = self.keys, self.owner
        return [keys.unacked(owner), keys.claimed_at(owner), keys.running(owner)]

    def is_bulk(self, tag: str) -> bool:
        """Tell whether a message came from the bulk queue."""
        return list_of(tag) in self._bulk  # asked several times for each message

    def take_command(self, *wants: FetchRequest) -> tuple[list[str], list[Any]]:
        """Return keys and arguments of TAKE, for who sends it without waiting for the reply; the first kind goes first.

        No kind takes another's room.
        """
        held, taken, _ = self._mine
        keys = [self.keys.leases, held, taken, self.keys.crashes]
        args: list[Any] = [self.owner, int(self.lease * 1000), self._number]
        for want in wants:
            most = min(want.most, MAX_FETCH)
            keys += want.lists
            args += [len(want.lists), most, int(want.last)]
            self._number += most  # a number is never used again, even if the reply is lost
        return keys, args

    @staticmethod
    def taken(reply: Any) -> FetchResult:
        """Read the reply of TAKE."""
        deaths, flat = reply
        return FetchResult(deaths, [(tag.decode(), raw) for tag, raw in zip(flat[::2], flat[1::2], strict=True)])

    def deaths_of(self, client: Any, task_ids: Sequence[str]) -> list[int]:
        """Return how many processes died under each task.

        Raises:
            RedisError: Redis is away, or refused.
        """
        return [int(count or 0) for count in client.hmget(self.keys.crashes, task_ids)] if task_ids else []

    def begin(self, client: Any, tags: Sequence[str], ids: Sequence[str], results: Sequence[Any]) -> list[Any]:
        """Note that a process works on messages now.

        Returns:
            For each: False if it is not held any more, the result it has already (bytes), or True.

        Raises:
            RedisError: Redis is away, or refused.
        """
        _, taken, running = self._mine
        replies = scripts.BEGIN(client, [taken, running, *results], [*tags, *ids])
        return [reply if isinstance(reply, bytes) else bool(reply) for reply in replies]

    def finish(self, client: Any, ends: Sequence[End]) -> list[bool]:
        """Store and announce results and acknowledge, of those that are still held; the first answer stays.

        Returns:
            For each: whether it was still held.

        Raises:
            RedisError: Redis is away, or refused.
        """
        keys = [*self._mine, self.keys.crashes, self.keys.dead, self.keys.dead_index, *(end.key for end in ends)]
        replies = scripts.FINISH(client, keys, [arg for end in ends for arg in end.args()])
        return [bool(reply) for reply in replies]

    def settle(self, client: Any, done: Sequence[str], ids: Sequence[str], back: Sequence[str]) -> None:
        """Acknowledge some messages without a result, and put others back into the queue.

        Args:
            client: a client of Redis.
            done: tags to acknowledge.
            ids: tasks whose deaths may be forgotten.
            back: tags to put back.

        Raises:
            RedisError: Redis is away, or refused.
        """
        args = [len(done), *done, len(ids), *ids, *back]
        scripts.SETTLE(client, [*self._mine, self.keys.crashes], args)

    def put_back(self, client: Any, keep: Iterable[str] = ()) -> int:
        """Put all that is held back into the queue, but for the tags of `keep`; return how many.

        Raises:
            RedisError: Redis is away, or refused.
        """
        return int(scripts.PUT_BACK(client, self._mine, list(keep)))

    def died(self, client: Any, tags: Sequence[str], ids: Sequence[str]) -> list[int]:
        """Count a death for each; return how many there were, 0 for what is not held any more.

        Raises:
            RedisError: Redis is away, or refused.
        """
        _, taken, running = self._mine
        reply: list[int] = scripts.DIED(client, [taken, running, self.keys.crashes], [DEATHS_KEPT, *tags, *ids])
        return reply

    def renew(self, client: Any, about: Mapping[str, Any]) -> HeartbeatResult:
        """Renew the lease, say how the worker does, and take back what lapsed workers held.

        Args:
            client: a client of Redis.
            about: fields of the worker's hash; see QueueKeys.owner.

        Raises:
            RedisError: Redis is away, or refused.
        """
        names = self.keys
        keys = [names.leases, *self._mine, names.crashes, names.worker(self.owner), QUEUES]
        starts = [names.unacked(""), names.claimed_at(""), names.running(""), names.worker("")]
        fields = [part for pair in about.items() for part in pair]
        args = [
            self.owner,
            int(self.lease * 1000),
            int(self.visibility * 1000),
            DEATHS_KEPT,
            *starts,
            names.queue,
            *fields,
        ]
        count, owners, overdue = scripts.RENEW(client, keys, args)
        return HeartbeatResult([owner.decode() for owner in owners], count, overdue)

    def leave(self, client: Any) -> int:
        """Put all back and end the lease; return how many messages went back.

        Raises:
            RedisError: Redis is away, or refused.
        """
        keys = [self.keys.leases, *self._mine, self.keys.worker(self.owner)]
        return int(scripts.LEAVE(client, keys, [self.owner]))


def list_of(tag: str) -> str:
    """Return the list of Redis' that a message came from."""
    return tag[16:]  # behind the number and a space; TAKE puts them there
