"""What workers note while they run (see stub.py), read as it is written."""

import threading
import time
from collections import defaultdict


class Journal:
    """Follows the file on a thread.

    Attributes:
        begun: per text number, the moments at which a process began with it.
        ready: ids of the workers that said they are.
        runs: how often the model was run, and on how many texts in all.
    """

    def __init__(self, path):
        self.path = path
        self.path.touch()
        self.begun = defaultdict(list)
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
                    self._stop.wait(0.01)  # the kernel tells of no growth without help from outside Python
                    continue
                *lines, rest = (rest + data).split(b"\n")
                with self._changed:
                    for line in lines:
                        self._take(line.split())
                    self._changed.notify_all()

    def _take(self, words):
        moment, what, pid, *values = words
        if what == b"ready":
            self.ready[int(pid)] = float(moment)
        else:
            self.runs += 1
            for serial in values:
                self.begun[int(serial)].append(float(moment))

    def wait_for(self, condition, timeout):
        """Wait until `condition(self)` holds; False when it does not in time."""
        until = time.monotonic() + timeout
        with self._changed:
            # Other things than lines may make it hold, such as a worker's end.
            while not condition(self):
                if (left := until - time.monotonic()) <= 0:
                    return False
                self._changed.wait(min(left, 0.1))
        return True
