import asyncio
import threading
from concurrent.futures import Future
from functools import partial

import pytest

from hanner.aio.loop_bridge import LoopBridge


class CountingLoop:
    """A fake loop that records calls."""

    def __init__(self):
        self.calls = []

    def call_soon_threadsafe(self, call):
        self.calls.append(call)


def test_calls_that_are_ready_together_wake_the_loop_once():
    loop, made = CountingLoop(), []
    bridge = LoopBridge(loop)
    for number in range(5):
        bridge.call_soon(partial(made.append, number))
    assert len(loop.calls) == 1
    loop.calls[0]()
    assert made == [0, 1, 2, 3, 4]
    bridge.call_soon(partial(made.append, 5))
    assert len(loop.calls) == 2


def test_call_added_by_another_call_is_made():
    loop, made = CountingLoop(), []
    bridge = LoopBridge(loop)
    bridge.call_soon(lambda: bridge.call_soon(partial(made.append, "late")))
    while loop.calls:
        loop.calls.pop(0)()
    assert made == ["late"]


def test_closed_loop_is_ignored():
    loop = asyncio.new_event_loop()
    loop.close()
    LoopBridge(loop).call_soon(lambda: None)


def in_loop(body):
    async def run():
        return await body(LoopBridge(asyncio.get_running_loop()))

    return asyncio.run(run())


def test_a_call_that_is_scheduled_already_is_made_once():
    async def body(bridge):
        made = []
        first, second = partial(made.append, 1), partial(made.append, 2)
        for call in (first, second, first, second):
            bridge.call_once(call)
        assert made == []
        await asyncio.sleep(0)
        assert made == [1, 2]
        bridge.call_once(first)
        await asyncio.sleep(0)
        return made

    assert in_loop(body) == [1, 2, 1]


def test_results_and_errors_of_threads_arrive():
    async def body(bridge):
        good, bad, early = Future(), Future(), Future()
        early.set_result("early")
        waiting = [bridge.wrap_future(future) for future in (good, bad, early)]
        thread = threading.Thread(target=lambda: (good.set_result("good"), bad.set_exception(LookupError("bad"))))
        thread.start()
        assert await waiting[0] == "good"
        with pytest.raises(LookupError, match="bad"):
            await waiting[1]
        assert await waiting[2] == "early"
        thread.join()

    in_loop(body)


def test_cancelling_the_wrapper_does_not_cancel_the_future():
    async def body(bridge):
        future = Future()
        waiting = bridge.wrap_future(future)
        waiting.cancel()
        future.set_result(1)
        await asyncio.sleep(0)
        assert waiting.cancelled()
        assert future.result() == 1

    in_loop(body)


def test_cancelled_future_cancels_the_wrapper():
    async def body(bridge):
        future = Future()
        waiting = bridge.wrap_future(future)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    in_loop(body)
