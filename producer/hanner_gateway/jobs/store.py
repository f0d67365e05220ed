"""Jobs in Redis: bounded in number, expiring, shared by all gateway processes.

A job has three keys: a hash with its progress, a hash of the chunks of texts that are still to do, and a hash of the
documents of completed chunks. `…:jobs` is a sorted set of unfinished jobs, scored by the deadline of the lease of the
process that works on each; `…:jobs:ended` is a sorted set of finished jobs. Every step that reads before it writes is
one Lua script, so that processes do not interfere. A chunk that is completed twice counts once.
"""

import json
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hanner.files.options import InputItem
from hanner.results import Document
from hanner.utils import tracing
from hanner.utils.lua import load_script
from hanner_gateway.problems import ProblemError
from hanner_gateway.schemas import JobOptions, JobProgress, JobState

if TYPE_CHECKING:
    from redis.asyncio import Redis

LEASE_MS = 10_000
"""A process that does not renew its lease for this long is considered dead; other processes take over its jobs."""
READ_CHUNKS = 32
"""Chunks of documents that are read from Redis in one round trip."""
SCRIPTS = "hanner_gateway.jobs.scripts"


@dataclass(frozen=True)
class Claim:
    """A job that this process works on.

    Attributes:
        id: The job's id.
        owner: Identifies this claim; a later claim of the same job has another owner.
        options: The options of the job's request.
        request_id: The id of the request that created the job.
        traceparent: The trace of that request; empty if it was not traced.
    """

    id: str
    owner: str
    options: JobOptions
    request_id: str
    traceparent: str = ""


class JobStore:
    """Creates, claims, completes, reads and deletes jobs.

    Args:
        redis: The connection.
        queue: The queue's name, part of all keys.
        ttl: Seconds after the last change until a job expires.
        max_jobs: Maximum number of unfinished jobs, and of finished jobs that are kept.
    """

    def __init__(self, redis: "Redis", queue: str, ttl: int, max_jobs: int) -> None:
        self._redis: Any = redis  # redis-py's annotations mix awaitable and plain results
        self._prefix = f"hanner:{queue}:job"
        self._ttl = ttl
        self._max_jobs = max_jobs
        self._create, self._claim, self._renew, self._complete_chunk, self._delete = (
            self._redis.register_script(load_script(SCRIPTS, name).script)
            for name in ("create", "claim", "renew", "complete_chunk", "delete")
        )
        self._unfinished = f"{self._prefix}s"
        self._finished = f"{self._prefix}s:ended"

    def key(self, job_id: str, part: str = "") -> str:
        """Return the key of a job's hash, or of its `texts` or `documents`."""
        return f"{self._prefix}:{job_id}:{part}" if part else f"{self._prefix}:{job_id}"

    def _keys(self, job_id: str) -> list[str]:
        return [self.key(job_id, part) for part in ("", "texts", "documents")]

    async def create(
        self, chunks: AsyncIterator[list[list[InputItem]]], options: JobOptions, request_id: str
    ) -> tuple[str, int]:
        """Store a job's texts while they are read, then open the job; return its id and its number of texts.

        Args:
            chunks: Chunks of items, several at a time.
            options: The options of the request.
            request_id: The id of the request that creates the job.

        Raises:
            ProblemError: too many jobs are unfinished.
        """
        if await self.count_unfinished() >= self._max_jobs:
            raise self._too_many_jobs()
        job_id = uuid.uuid4().hex
        trace = tracing.current_traceparent()
        count = total = 0
        try:
            async for several in chunks:
                mapping = {str(count + n): _to_json(list(map(_from_item, chunk))) for n, chunk in enumerate(several)}
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.hset(self.key(job_id, "texts"), mapping=mapping)
                    pipe.expire(self.key(job_id, "texts"), self._ttl)
                    await pipe.execute()
                count += len(several)
                total += sum(map(len, several))
            args: list[Any] = [self._max_jobs, self._ttl, job_id, total, options.model_dump_json(), request_id, trace]
            result = await self._create(keys=[self._unfinished, self.key(job_id)], args=args)
        except BaseException:
            await self._redis.unlink(self.key(job_id, "texts"))
            raise
        if result == b"FULL":
            await self._redis.unlink(self.key(job_id, "texts"))
            raise self._too_many_jobs()
        return job_id, total

    def _too_many_jobs(self) -> ProblemError:
        detail = f"{self._max_jobs} jobs are unfinished; wait until one has finished, or raise HANNER_MAX_JOBS"
        return ProblemError(429, detail, code="too_many_jobs", headers={"Retry-After": "10"})

    async def claim(self) -> Claim | None:
        """Return a job that no process works on, claimed for this process; None if no job can be claimed."""
        owner = uuid.uuid4().hex
        found = await self._claim(keys=[self._unfinished], args=[self._prefix, owner, LEASE_MS])
        if not found:
            return None
        job_id, options, request_id, trace = (part.decode() for part in found)
        return Claim(job_id, owner, JobOptions.model_validate_json(options), request_id, trace)

    async def renew(self, claim: Claim, lease_ms: int = LEASE_MS) -> bool:
        """Renew the lease; return False if the job is gone or another process has claimed it."""
        keys = [self._unfinished, *self._keys(claim.id)]
        result = await self._renew(keys=keys, args=[claim.id, claim.owner, lease_ms, self._ttl])
        return bool(result == b"RENEWED")

    async def release(self, claim: Claim) -> None:
        """End the lease, so that another process can claim the job at once."""
        await self.renew(claim, 0)

    async def pending_chunks(self, job_id: str) -> list[int]:
        """Return the numbers of the chunks that are still to do, in order."""
        return sorted(map(int, await self._redis.hkeys(self.key(job_id, "texts"))))

    async def read_chunk(self, job_id: str, number: int) -> list[InputItem] | None:
        """Return the items of a chunk; None if it is completed or the job is gone."""
        found = await self._redis.hget(self.key(job_id, "texts"), str(number))
        return None if found is None else list(map(_to_item, json.loads(found)))

    async def complete_chunk(
        self, claim: Claim, number: int, documents: Sequence[Document], items: Sequence[InputItem]
    ) -> bool:
        """Store the documents of a chunk with the fields of its items; return False if the job is gone."""
        pairs = zip(items, documents, strict=True)
        with_text = claim.options.include_text
        payload = _to_json([_to_result(item, document, with_text=with_text) for item, document in pairs])
        failed = sum(document.error is not None for document in documents)
        model = next((document.model for document in documents if document.model), "")
        keys = [self._unfinished, self._finished, *self._keys(claim.id)]
        chunk: list[Any] = [claim.id, number, payload, len(documents), failed]
        limits: list[Any] = [self._ttl, self._max_jobs, self._prefix, model]
        return bool(await self._complete_chunk(keys=keys, args=[*chunk, *limits]) == b"STORED")

    async def count_unfinished(self) -> int:
        """Return the number of unfinished jobs."""
        return int(await self._redis.zcard(self._unfinished))

    async def progress(self, job_id: str) -> JobProgress | None:
        """Return the progress of a job; None if there is no such job."""
        return (await self.progress_of([job_id]))[0]

    async def progress_of(self, job_ids: Sequence[str]) -> list[JobProgress | None]:
        """Return the progress of each job; None for a job that does not exist."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hmget(self.key(job_id), "state", "done", "failed", "total", "model")
            rows = await pipe.execute()
        return [_to_progress(job_id, row) for job_id, row in zip(job_ids, rows, strict=True)]

    async def documents(self, job_id: str) -> AsyncIterator[bytes]:
        """Yield a finished job's documents as JSON without the list's brackets, several chunks at a time.

        Raises:
            LookupError: the job expired meanwhile.
        """
        key = self.key(job_id, "documents")
        count = await self._redis.hlen(key)
        for first in range(0, count, READ_CHUNKS):
            numbers = map(str, range(first, min(count, first + READ_CHUNKS)))
            chunks = await self._redis.hmget(key, *numbers)
            if None in chunks:
                raise LookupError(job_id)
            yield b",".join(chunk[1:-1] for chunk in chunks)

    async def delete(self, job_id: str) -> bool:
        """Delete a job in any state; return False if there is no such job."""
        keys = [self._unfinished, self._finished, *self._keys(job_id)]
        return bool(await self._delete(keys=keys, args=[job_id]) == b"DELETED")


def _from_item(item: InputItem) -> Any:
    """Return an item as JSON: a string if it is only a text."""
    if item.error is None and not item.fields:
        return item.text
    return {"text": item.text, "error": item.error, "fields": item.fields}


def _to_item(value: Any) -> InputItem:
    return InputItem(value) if isinstance(value, str) else InputItem(**value)


def _to_result(item: InputItem, document: Document, *, with_text: bool) -> dict[str, Any]:
    """Return what is stored of a text: the other members of its line, and its document."""
    text = {"text": item.text} if with_text and item.text is not None else {}
    return text | dict(item.fields) | document.model_dump(exclude_none=True)


def _to_progress(job_id: str, row: list[bytes | None]) -> JobProgress | None:
    state, *counts, model = (value.decode() if value is not None else "" for value in row)
    if not state:
        return None
    done, failed, total = map(int, counts)
    return JobProgress(id=job_id, state=JobState(state), done=done, failed=failed, total=total, model=model or None)


def _to_json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # lone surrogates, which only escapes can represent
        return json.dumps(value, separators=(",", ":")).encode()
