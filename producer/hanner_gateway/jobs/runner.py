"""Works on jobs: takes one that nobody works on, sends its parcels through the queue, a few at a time, stores answers.

Every gateway process has one. A process that dies lets its leases lapse, and the others go on where it stopped.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Final

from redis.exceptions import RedisError

from hanner.aio.client import AsyncClient
from hanner.contract import Document, error_document
from hanner.errors import BrokerUnreachable, HannerError, ModelFailed, QueueFull, WorkerLost
from hanner.utils import tracing
from hanner_gateway import metrics, request_id
from hanner_gateway.jobs.store import LEASE_MS, Claim, JobStore
from hanner_gateway.offsets import shaped_document

log = logging.getLogger("hanner.gateway.jobs")

JOBS = 4
"""Jobs that a process works on at a time."""
PARCELS = 8
"""Parcels that a process has in the queue at a time: enough to keep workers busy, few enough that whoever sends a
single text need not wait long behind them."""
LOOK = 1.0
"""Seconds between two looks for jobs that other processes have left, and between two renewals of a lease."""
PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds to wait when the queue is full, or Redis away: where nobody knows better, and at most."""


class _GoneError(Exception):
    """The job was dropped, or another process has it."""


class Runner:
    """Works on jobs until it is stopped.

    Args:
        store: Where jobs are.
        client: Sends texts.
    """

    def __init__(self, store: JobStore, client: AsyncClient) -> None:
        self._store = store
        self._client = client
        self._woken = asyncio.Event()
        self._slots: Final = asyncio.Semaphore(JOBS)
        self._room: Final = asyncio.Semaphore(PARCELS)
        self._running: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look for jobs at once."""
        self._woken.set()

    async def run(self) -> None:
        """Look for jobs and work on them; when cancelled, revoke what is in the queue and give the jobs back."""
        try:
            while True:
                await self._slots.acquire()
                claim = await self._claim()
                if claim is None:
                    self._slots.release()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), LOOK)
                    self._woken.clear()
                else:
                    task = asyncio.create_task(self._work(claim))
                    self._running.add(task)
                    task.add_done_callback(self._ended)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._slots.release()
        self.wake()

    async def _claim(self) -> Claim | None:
        try:
            return await self._store.claim()
        except (RedisError, OSError) as error:
            log.warning("jobs cannot be looked for, Redis does not answer: %s", type(error).__name__)
            return None

    async def _work(self, claim: Claim) -> None:
        """Work on a job until it is done, gone, or Redis is away; in the last case somebody takes it again."""
        request_id.adopt(claim.request_id)
        tracing.attach_traceparent(claim.traceparent)  # for this task and the parcels' own
        log.info("job %s begins [%s]", claim.id, claim.request_id)
        try:
            numbers = iter(await self._store.pending(claim.id))
            async with asyncio.TaskGroup() as group:
                keeper = group.create_task(self._keep(claim))
                async with asyncio.TaskGroup() as parcels:
                    for _ in range(PARCELS):
                        parcels.create_task(self._take(claim, numbers))
                keeper.cancel()
            log.info("job %s is through [%s]", claim.id, claim.request_id)
        except* _GoneError:
            log.info("job %s was dropped [%s]", claim.id, claim.request_id)
        except* (RedisError, OSError, HannerError) as trouble:
            log.warning("job %s rests: %r [%s]", claim.id, trouble.exceptions[0], claim.request_id)
            await asyncio.sleep(PAUSE)
            await self._give_back(claim)
        except* asyncio.CancelledError:
            await self._give_back(claim)
            raise

    async def _give_back(self, claim: Claim) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self._store.renew(claim, 0)

    async def _keep(self, claim: Claim) -> None:
        """Hold the lease, and notice when the job is dropped."""
        while True:
            await asyncio.sleep(min(LOOK, LEASE_MS / 3000))
            if not await self._store.renew(claim):
                raise _GoneError

    async def _take(self, claim: Claim, numbers: Iterator[int]) -> None:
        for number in numbers:
            async with self._room:
                texts = await self._store.texts(claim.id, number)
                if texts is None:
                    continue
                with metrics.counting(texts) as counted:
                    documents = await self._answer(texts, claim)
                    counted(documents)
                if not await self._store.put(claim, number, documents):
                    raise _GoneError

    async def _answer(self, texts: Sequence[str], claim: Claim) -> list[Document]:
        """Return one document per text."""
        while True:
            try:
                documents = await self._client.extract_many(
                    list(texts), timeout=None, priority="bulk", model=claim.options.model
                )
            except QueueFull as error:
                await asyncio.sleep(min(getattr(error, "seconds", None) or PAUSE, LONGEST_PAUSE))
            except BrokerUnreachable:
                raise
            except (ModelFailed, WorkerLost) as error:
                if len(texts) == 1:
                    return [error_document(str(error.code), str(error))]
                # One of them brought the others down: each is tried alone.
                return [document for text in texts for document in await self._answer([text], claim)]
            except HannerError as error:
                if error.code is None:
                    raise
                return [error_document(error.code, str(error))] * len(texts)
            else:
                pairs = zip(texts, documents, strict=True)
                return [shaped_document(text, document, claim.options) for text, document in pairs]
