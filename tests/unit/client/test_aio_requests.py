"""Waiting for results in an event loop: cancellations and results that come at the same time."""

import asyncio
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from hanner.aio.requests import AsyncRequestSender


class Waiter:
    """A waiter whose result is the meta that the test sets."""

    def __init__(self):
        self.future = Future()
        self.meta = None

    def has_meta(self):
        return self.meta is not None

    def set_meta(self, meta):
        self.meta = meta

    def take_future(self):
        return self.future

    def release_future(self, future):
        assert future is self.future

    def result(self):
        return self.meta


@pytest.fixture
def waiter():
    return Waiter()


@pytest.fixture
def sender(waiter):
    return AsyncRequestSender(
        SimpleNamespace(
            settings=SimpleNamespace(timeout=60),
            lifetime=lambda timeout: timeout,
            connection=SimpleNamespace(clock=SimpleNamespace(is_known=lambda: True)),
            brokers=SimpleNamespace(are_several=False),
            send_async=lambda connection, request, expires, callback, **options: (waiter, lambda: True),
        )
    )


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("call", ["wait", "send_and_wait"])
def test_cancellation_is_not_lost_when_the_result_arrives(sender, waiter, call, steps):
    async def body():
        calls = {"wait": lambda: sender.wait(waiter, 60), "send_and_wait": lambda: sender.send_and_wait("x", 60)}
        waiting = asyncio.create_task(calls[call]())
        for _ in range(10):
            await asyncio.sleep(0)
        waiter.future.set_result("answer")
        for _ in range(steps):
            await asyncio.sleep(0)
        was_running = waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled() if was_running else waiting.result() == "answer"

    asyncio.run(body())
