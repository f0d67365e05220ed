"""The watchdog, with a clock and without a worker."""

from types import SimpleNamespace

import pytest

from hanner_worker.observability.hooks import BatchRecord
from hanner_worker.probes import Probes
from hanner_worker.watchdog import Watchdog

TIMEOUT = 40.0


class FakePool:
    """Runs probes when the test calls their callbacks."""

    def __init__(self):
        self.callbacks = []

    def apply_async(self, function, *, callback, error_callback):
        del function, error_callback
        self.callbacks.append(callback)
        return SimpleNamespace()


class Bench:
    """A watchdog whose event loop and thread the test runs."""

    def __init__(self, timeout=TIMEOUT):
        self.now, self.ended, self.pool = 1000.0, 0, FakePool()
        self.watchdog = Watchdog(timeout, Probes(), self._end, lambda: self.now)
        self.watchdog.resume()

    def _end(self):
        self.ended += 1

    def run(self, seconds, *, loop=True, answers=True):
        """Advance the clock; `loop`: the event loop runs; `answers`: processes answer probes."""
        for _ in range(int(seconds / 10)):
            self.now += 10
            if answers:
                for callback in self.pool.callbacks:
                    callback(None)
                self.pool.callbacks.clear()
            if loop:
                self.watchdog.probe(self.pool)
            self.watchdog.check()


@pytest.fixture
def bench():
    return Bench()


def test_idle_worker_whose_processes_answer_continues(bench):
    bench.run(3600)
    assert bench.ended == 0


def test_worker_whose_processes_hang_is_ended_once(bench, caplog):
    bench.run(600)
    bench.run(40, answers=False)
    assert bench.ended == 0
    bench.run(100, answers=False)
    assert bench.ended == 1
    assert "no process of this worker has answered for" in caplog.text
    assert "HANNER_HANG_TIMEOUT" in caplog.text


def test_worker_whose_event_loop_hangs_is_ended(bench):
    bench.run(60, loop=False)
    assert bench.ended == 1


@pytest.mark.parametrize(("loss", "ended"), [("", 0), ("process_died", 1)])
def test_reported_batches_are_signs_of_life_and_lost_ones_are_not(bench, loss, ended):
    for _ in range(10):
        bench.watchdog.on_batch(BatchRecord(1, [], 0.0, [], 0.0, loss=loss))
        bench.run(20, answers=False)
    assert bench.ended == ended


def test_worker_that_waits_for_redis_is_not_ended(bench):
    bench.watchdog.pause()
    bench.run(3600, loop=False)
    bench.watchdog.resume()
    bench.run(30, answers=False)
    assert bench.ended == 0


def test_machine_that_was_suspended_is_no_hang(bench):
    bench.now += 3600
    bench.watchdog.check()
    assert bench.ended == 0


def test_watchdog_can_be_off():
    bench = Bench(timeout=0.0)
    assert bench.watchdog.interval == 0
    bench.watchdog.start()
    bench.watchdog.stop()
    assert bench.ended == 0
