import asyncio
import threading
from concurrent.futures import Future
from functools import partial

import pytest

from hanner.aio.loop_bridge import LoopBridge


class CountingLoop:
    """Stands for a loop: keeps what it is asked to call."""

    def __init__(self):
        self.calls = []

    def call_soon_threadsafe(self, call):
        self.calls.append(call)


def test_calls_that_come_together_wake_the_loop_once():
    loop, made = CountingLoop(), []
    inbox = LoopBridge(loop)
    for number in range(5):
        inbox.put(partial(made.append, number))
    assert len(loop.calls) == 1
    loop.calls[0]()
    assert made == [0, 1, 2, 3, 4]
    inbox.put(partial(made.append, 5))
    assert len(loop.calls) == 2


def test_a_call_that_comes_while_others_are_made_is_not_lost():
    loop, made = CountingLoop(), []
    inbox = LoopBridge(loop)
    inbox.put(lambda: inbox.put(partial(made.append, "late")))
    while loop.calls:
        loop.calls.pop(0)()
    assert made == ["late"]


def test_a_closed_loop_is_left_alone():
    loop = asyncio.new_event_loop()
    loop.close()
    LoopBridge(loop).put(lambda: None)


def in_loop(body):
    async def run():
        return await body(LoopBridge(asyncio.get_running_loop()))

    return asyncio.run(run())


def test_a_thread_s_result_and_error_arrive():
    async def body(inbox):
        good, bad, early = Future(), Future(), Future()
        early.set_result("early")
        waiting = [inbox.wrap(future) for future in (good, bad, early)]
        thread = threading.Thread(target=lambda: (good.set_result("good"), bad.set_exception(LookupError("bad"))))
        thread.start()
        assert await waiting[0] == "good"
        with pytest.raises(LookupError, match="bad"):
            await waiting[1]
        assert await waiting[2] == "early"
        thread.join()

    in_loop(body)


def test_cancelling_the_waiting_leaves_the_other_alone():
    async def body(inbox):
        future = Future()
        waiting = inbox.wrap(future)
        waiting.cancel()
        future.set_result(1)
        await asyncio.sleep(0)
        assert waiting.cancelled()
        assert future.result() == 1

    in_loop(body)


def test_a_cancelled_future_cancels_the_waiting():
    async def body(inbox):
        future = Future()
        waiting = inbox.wrap(future)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    in_loop(body)
