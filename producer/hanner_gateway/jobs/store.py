"""Jobs in Redis: bounded in number, expiring, shared by all gateway processes.

A job is a hash (its progress), a hash of parcels of texts that are still to do, and a hash of parcels of documents.
`…:jobs` is a sorted set of unfinished jobs, each with the time at which the lease of the process that works on it
lapses; `…:jobs:ended` one of those that are done. Every step that reads before it writes is one script, so that
processes cannot get in each other's way; a parcel that is answered twice counts once.
"""

import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hanner.contract import Document
from hanner.utils import tracing
from hanner_gateway.jobs import scripts
from hanner_gateway.problems import ProblemError
from hanner_gateway.schemas import JobProgress, JobState, Options

if TYPE_CHECKING:
    from redis.asyncio import Redis

LEASE_MS = 10_000
"""A process that has not renewed its lease for so long is taken for dead, and others go on with its jobs."""
READ_PARCELS = 32
"""Parcels of documents read from Redis at once."""


@dataclass(frozen=True)
class Claim:
    """A job that this process works on.

    Attributes:
        id: The job's.
        owner: This process's, for this lease.
        options: What is to be done with what is found.
        request_id: Of the request that made the job.
        traceparent: The trace that this request belongs to; empty if none does.
    """

    id: str
    owner: str
    options: Options
    request_id: str
    traceparent: str = ""


class JobStore:
    """Creates, claims, fills, reads and drops jobs.

    Args:
        redis: The connection.
        queue: The queue's name, part of all keys.
        ttl: Seconds after which a job that nobody touches is forgotten.
        most: Jobs that may be unfinished, and that are kept when they have ended.
    """

    def __init__(self, redis: "Redis", queue: str, ttl: int, most: int) -> None:
        self._redis: Any = redis  # redis-py's annotations leave open what is awaited and what is bytes
        self._prefix = f"hanner:{queue}:job"
        self._ttl = ttl
        self._most = most
        self._open, self._claim, self._renew, self._put, self._drop = (
            self._redis.register_script(script)
            for script in (scripts.OPEN, scripts.CLAIM, scripts.RENEW, scripts.PUT, scripts.DROP)
        )

    def key(self, job_id: str, part: str = "") -> str:
        """Name a job's hash, or its `texts` or `documents`; the hash's name is also the channel of its changes."""
        return f"{self._prefix}:{job_id}:{part}" if part else f"{self._prefix}:{job_id}"

    def _keys(self, job_id: str) -> list[str]:
        return [self.key(job_id, part) for part in ("", "texts", "documents")]

    @property
    def _sets(self) -> list[str]:
        return [f"{self._prefix}s", f"{self._prefix}s:ended"]

    async def create(
        self, parcels: AsyncIterator[list[list[str]]], options: Options, request_id: str
    ) -> tuple[str, int]:
        """Store a job's texts as they come and open it; return its id and how many texts it has.

        Args:
            parcels: Parcels of texts, several at a time.
            options: What is to be done with what is found.
            request_id: Of the request that makes the job.

        Raises:
            ProblemError: too many jobs are unfinished.
        """
        if await self.unfinished() >= self._most:
            raise self._full()
        job_id = uuid.uuid4().hex
        trace = tracing.current_traceparent()
        count = total = 0
        try:
            async for several in parcels:
                mapping = {str(count + n): _dumped(parcel) for n, parcel in enumerate(several)}
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.hset(self.key(job_id, "texts"), mapping=mapping)
                    pipe.expire(self.key(job_id, "texts"), self._ttl)
                    await pipe.execute()
                count += len(several)
                total += sum(map(len, several))
            arguments: list[Any] = [self._most, self._ttl, job_id, total, options.model_dump_json(), request_id, trace]
            opened = await self._open(keys=[*self._sets, self.key(job_id)], args=arguments)
        except BaseException:
            await self._redis.unlink(self.key(job_id, "texts"))
            raise
        if not opened:
            await self._redis.unlink(self.key(job_id, "texts"))
            raise self._full()
        return job_id, total

    def _full(self) -> ProblemError:
        detail = f"{self._most} jobs are unfinished already; wait until one is done, or raise HANNER_MAX_JOBS"
        return ProblemError(429, detail, code="too_many_jobs", headers={"Retry-After": "10"})

    async def claim(self) -> Claim | None:
        """Take a job that nobody works on; None when there is none."""
        owner = uuid.uuid4().hex
        found = await self._claim(keys=self._sets[:1], args=[self._prefix, owner, LEASE_MS])
        if not found:
            return None
        job_id, options, request_id, trace = (part.decode() for part in found)
        return Claim(job_id, owner, Options.model_validate_json(options), request_id, trace)

    async def renew(self, claim: Claim, lease_ms: int = LEASE_MS) -> bool:
        """Prolong the lease; 0 gives it back. False when the job is gone, or another's."""
        keys = [*self._sets[:1], *self._keys(claim.id)]
        return bool(await self._renew(keys=keys, args=[claim.id, claim.owner, lease_ms, self._ttl]))

    async def pending(self, job_id: str) -> list[int]:
        """Return the numbers of the parcels that are to be done, in order."""
        return sorted(map(int, await self._redis.hkeys(self.key(job_id, "texts"))))

    async def texts(self, job_id: str, number: int) -> list[str] | None:
        """Return the texts of a parcel; None when it is done or the job gone."""
        found = await self._redis.hget(self.key(job_id, "texts"), str(number))
        texts: list[str] | None = None if found is None else json.loads(found)
        return texts

    async def put(self, claim: Claim, number: int, documents: Sequence[Document]) -> bool:
        """Store the documents of a parcel; False when the job is gone."""
        described = [document.model_dump(exclude_none=True) for document in documents]
        failed = sum(document.error is not None for document in documents)
        parcel: list[Any] = [claim.id, number, _dumped(described), len(documents), failed]
        limits: list[Any] = [self._ttl, self._most, self._prefix]
        return bool(await self._put(keys=[*self._sets, *self._keys(claim.id)], args=[*parcel, *limits]))

    async def unfinished(self) -> int:
        """Return how many jobs are not done."""
        return int(await self._redis.zcard(self._sets[0]))

    async def progress(self, job_id: str) -> JobProgress | None:
        """Return how far a job is; None when there is none, or no more."""
        fields = ("state", "done", "failed", "total")
        found = await self._redis.hmget(self.key(job_id), *fields)
        if found[0] is None:
            return None
        state, *counts = (value.decode() for value in found)
        done, failed, total = map(int, counts)
        return JobProgress(id=job_id, state=JobState(state), done=done, failed=failed, total=total)

    async def documents(self, job_id: str) -> AsyncIterator[bytes]:
        """Yield a done job's documents as JSON, without the list's brackets, some parcels at a time.

        Raises:
            LookupError: they expired meanwhile.
        """
        key = self.key(job_id, "documents")
        count = await self._redis.hlen(key)
        for first in range(0, count, READ_PARCELS):
            numbers = map(str, range(first, min(count, first + READ_PARCELS)))
            parcels = await self._redis.hmget(key, *numbers)
            if None in parcels:
                raise LookupError(job_id)
            yield b",".join(parcel[1:-1] for parcel in parcels)

    @contextlib.asynccontextmanager
    async def changes(self, job_id: str) -> AsyncIterator[Callable[[float], Awaitable[Any]]]:
        """Give a function that waits until the job may have changed, at most so many seconds."""
        async with self._redis.pubsub(ignore_subscribe_messages=True) as listener:
            await listener.subscribe(self.key(job_id))
            yield lambda seconds: listener.get_message(timeout=seconds)

    async def drop(self, job_id: str) -> bool:
        """Forget a job, whatever it does now; False when there is none."""
        return bool(await self._drop(keys=[*self._sets, *self._keys(job_id)], args=[job_id]))


def _dumped(value: Any) -> bytes:
    # Lone surrogates are the client's to refuse, text by text; until then they must pass.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")
