"""Reads the file to which workers append events (see fake_model.py), while they write it."""

import threading
import time
from collections import defaultdict


class EventLog:
    """Follows the file in a thread.

    Attributes:
        starts: Per text number, the times at which a process started with it.
        ready: Maps the ids of ready workers to the time at which they became ready.
        runs: Number of runs of the model.
    """

    def __init__(self, path):
        self.path = path
        self.path.touch()
        self.starts = defaultdict(list)
        self.ready = {}
        self.runs = 0
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _follow(self):
        rest = b""
        with self.path.open("rb") as file:
            while not self._stop.is_set():
                data = file.read()
                if not data:
                    self._stop.wait(0.01)  # the standard library has no notification of growing files
                    continue
                *lines, rest = (rest + data).split(b"\n")
                with self._changed:
                    for line in lines:
                        self._add(line.split())
                    self._changed.notify_all()

    def _add(self, words):
        moment, event, pid, *values = words
        if event == b"ready":
            self.ready[int(pid)] = float(moment)
        else:
            self.runs += 1
            for serial in values:
                self.starts[int(serial)].append(float(moment))

    def wait_for(self, condition, timeout):
        """Wait until `condition(self)` is true. Return False after `timeout` seconds."""
        until = time.monotonic() + timeout
        with self._changed:
            # The condition may depend on more than this file, such as the exit of a worker: so it is polled.
            while not condition(self):
                if (left := until - time.monotonic()) <= 0:
                    return False
                self._changed.wait(min(left, 0.1))
        return True
