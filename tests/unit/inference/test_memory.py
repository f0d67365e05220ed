"""The heap is trimmed after a batch, but not after each of many short batches."""

from hanner_inference import memory
from hanner_inference.memory import MIN_INTERVAL, HeapTrimmer


def test_trims_are_at_least_the_minimum_interval_apart(monkeypatch):
    trims, now = [], [0.0]
    monkeypatch.setattr(memory, "_malloc_trim", trims.append)
    trimmer = HeapTrimmer(lambda: now[0])
    for moment in (0.0, MIN_INTERVAL / 2, MIN_INTERVAL, MIN_INTERVAL * 1.5, MIN_INTERVAL * 10):
        now[0] = moment
        trimmer.after_batch()
    assert len(trims) == 3
