"""Memory is given back after a batch, and not after each of many that follow at once."""

from hanner_inference import memory
from hanner_inference.memory import PAUSE, HeapTrimmer


def test_many_short_batches_give_back_once(monkeypatch):
    given, now = [], [0.0]
    monkeypatch.setattr(memory, "_trim", given.append)
    returns = HeapTrimmer(lambda: now[0])
    for moment in (0.0, PAUSE / 2, PAUSE, PAUSE * 1.5, PAUSE * 10):
        now[0] = moment
        returns.after_batch()
    assert len(given) == 3
