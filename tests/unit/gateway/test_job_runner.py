"""The job runner stops when it is cancelled, at whatever moment."""

import asyncio

import pytest

from hanner_gateway.jobs.runner import JobRunner
from support.waiting import DEADLINE


class EmptyStore:
    """A store without jobs."""

    async def claim(self):
        return None


@pytest.mark.parametrize("steps", range(6))
def test_runner_that_is_cancelled_while_it_is_woken_stops(steps):
    """A job that ends, or a new one, wakes it. `steps` of the event loop later the gateway shuts down."""

    async def body():
        runner = JobRunner(EmptyStore(), None)
        running = asyncio.create_task(runner.run())
        for _ in range(10):
            await asyncio.sleep(0)
        runner.wake()
        for _ in range(steps):
            await asyncio.sleep(0)
        running.cancel()
        done, _ = await asyncio.wait({running}, timeout=DEADLINE)
        running.cancel()
        assert done
        assert running.cancelled()

    asyncio.run(body())
