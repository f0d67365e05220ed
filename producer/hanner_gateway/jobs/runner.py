"""The job runner: claims jobs, sends their chunks through the queue, a few at a time, and stores the documents.

Every gateway process has one. When a process dies, its leases expire and other processes continue its jobs.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Final

from redis.exceptions import RedisError

from hanner.aio.client import AsyncClient
from hanner.contract import ErrorCode
from hanner.errors import BrokerUnreachable, HannerError, ModelFailed, QueueFull, WorkerLost
from hanner.files.options import InputItem
from hanner.results import Document, error_document
from hanner.utils import tracing
from hanner_gateway import metrics, request_id
from hanner_gateway.jobs.store import LEASE_MS, Claim, JobStore
from hanner_gateway.offsets import apply_options_to_document

log = logging.getLogger("hanner.gateway.jobs")

MAX_JOBS = 4
"""Jobs that a process works on at the same time."""
MAX_CHUNKS = 8
"""Chunks that a process has in the queue: enough to keep workers busy, few enough not to delay other requests."""
POLL_INTERVAL = 1.0
"""Seconds between two attempts to claim a job, and the maximum between two renewals of a lease."""
RETRY_DELAY, MAX_RETRY_DELAY = 1.0, 10.0
"""Seconds to wait if the queue is full or Redis is unreachable: without an estimate, and at most."""


class _JobLostError(Exception):
    """The job was deleted, or another process has claimed it."""


class JobRunner:
    """Works on jobs until it is cancelled.

    Args:
        store: Stores the jobs.
        client: Sends texts.
    """

    def __init__(self, store: JobStore, client: AsyncClient) -> None:
        self._store = store
        self._client = client
        self._wakeup = asyncio.Event()
        self._job_slots: Final = asyncio.Semaphore(MAX_JOBS)
        self._chunk_slots: Final = asyncio.Semaphore(MAX_CHUNKS)
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look for jobs now instead of after the poll interval."""
        self._wakeup.set()

    async def run(self) -> None:
        """Claim jobs and work on them; when cancelled, revoke the queued chunks and release the jobs."""
        try:
            while True:
                await self._job_slots.acquire()
                claim = await self._claim()
                if claim is None:
                    self._job_slots.release()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(POLL_INTERVAL):  # Python 3.11's wait_for may ignore a cancellation
                            await self._wakeup.wait()
                    self._wakeup.clear()
                else:
                    task = asyncio.create_task(self._work(claim))
                    self._tasks.add(task)
                    task.add_done_callback(self._finished)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._job_slots.release()
        self.wake()

    async def _claim(self) -> Claim | None:
        try:
            return await self._store.claim()
        except (RedisError, OSError) as error:
            log.warning("cannot claim jobs, Redis is unreachable: %s", type(error).__name__)
            return None

    async def _work(self, claim: Claim) -> None:
        """Work on a job until it is finished or lost; release it if Redis becomes unreachable."""
        request_id.set_current(claim.request_id)
        tracing.attach_traceparent(claim.traceparent)  # for this task and the tasks of its chunks
        log.info("job %s started [%s]", claim.id, claim.request_id)
        try:
            numbers = iter(await self._store.pending_chunks(claim.id))
            async with asyncio.TaskGroup() as group:
                renewal = group.create_task(self._renew_lease(claim))
                async with asyncio.TaskGroup() as senders:
                    for _ in range(MAX_CHUNKS):
                        senders.create_task(self._process_chunks(claim, numbers))
                renewal.cancel()
            log.info("job %s finished [%s]", claim.id, claim.request_id)
        except* _JobLostError:
            log.info("job %s was revoked or claimed by another process [%s]", claim.id, claim.request_id)
        except* (RedisError, OSError, HannerError) as errors:
            log.warning("job %s interrupted, retrying: %r [%s]", claim.id, errors.exceptions[0], claim.request_id)
            await asyncio.sleep(RETRY_DELAY)
            await self._release(claim)
        except* asyncio.CancelledError:
            await self._release(claim)
            raise

    async def _release(self, claim: Claim) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self._store.release(claim)

    async def _renew_lease(self, claim: Claim) -> None:
        """Renew the lease until cancelled; raise if the job is lost."""
        while True:
            await asyncio.sleep(min(POLL_INTERVAL, LEASE_MS / 3000))
            if not await self._store.renew(claim):
                raise _JobLostError

    async def _process_chunks(self, claim: Claim, numbers: Iterator[int]) -> None:
        for number in numbers:
            async with self._chunk_slots:
                items = await self._store.read_chunk(claim.id, number)
                if items is None:
                    continue
                with metrics.count_texts([item.text or "" for item in items]) as count:
                    documents = await self._documents(items, claim)
                    count(documents)
                if not await self._store.complete_chunk(claim, number, documents, items):
                    raise _JobLostError

    async def _documents(self, items: Sequence[InputItem], claim: Claim) -> list[Document]:
        """Return one document per item; those that could not be read have their errors."""
        texts = [item.text for item in items if item.error is None and item.text is not None]
        found = iter(await self._extract(texts, claim) if texts else [])
        return [
            next(found) if item.error is None else error_document(ErrorCode.INVALID_TEXT, item.error) for item in items
        ]

    async def _extract(self, texts: Sequence[str], claim: Claim) -> list[Document]:
        """Return one document per text."""
        while True:
            try:
                documents = await self._client.extract_many(
                    list(texts), timeout=None, priority="bulk", model=claim.options.model
                )
            except QueueFull as error:
                await asyncio.sleep(min(getattr(error, "seconds", None) or RETRY_DELAY, MAX_RETRY_DELAY))
            except BrokerUnreachable:
                raise
            except (ModelFailed, WorkerLost) as error:
                if len(texts) == 1:
                    return [error_document(str(error.code), str(error))]
                # One text made the whole chunk fail: send each text alone.
                return [document for text in texts for document in await self._extract([text], claim)]
            except HannerError as error:
                if error.code is None:
                    raise
                return [error_document(error.code, str(error))] * len(texts)
            else:
                pairs = zip(texts, documents, strict=True)
                return [apply_options_to_document(text, document, claim.options) for text, document in pairs]
