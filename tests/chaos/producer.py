"""Sends texts by hanner's own client, as fast as the system takes them, and books every answer."""

import random
import threading
import time

from chaos import stub
from chaos.ledger import ANSWERED, Entry
from hanner import Client, HannerError
from hanner.errors import BrokerUnreachable

WINDOW = 512
"""Texts in flight."""
CALLERS = 4
"""Threads that each wait for one text after the other, as most programs do."""


class Producer:
    """Sends `texts` texts on threads of its own; all are booked.

    Args:
        url: the broker's.
        ledger: where to book.
        texts: how many.
        seed: of the lengths, and of the places of `commands`.
        commands: what some of the texts do to their worker, spread evenly.
        window: most in flight.
    """

    def __init__(self, url, ledger, texts, *, seed, commands=(), window=WINDOW, patience=300.0):
        self._client = Client(url, timeout=patience, connect_timeout=5.0)
        self._ledger = ledger
        self._texts = texts
        self._random = random.Random(seed)
        self._window = window
        self._patience = patience
        self.commands = dict(zip(sorted(self._random.sample(range(texts), len(commands))), commands, strict=True))
        self._allowed = texts
        self._next = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._pour, daemon=True)]
        self._threads += [threading.Thread(target=self._call, daemon=True) for _ in range(CALLERS)]
        self.failure = None

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._client.close()
        for thread in self._threads:
            thread.join(30)

    def allow(self, count):
        """Let only so many texts be sent so far, so that they last as long as the faults do."""
        self._allowed = min(self._texts, count)

    def sending(self):
        """Say whether there is more to send."""
        return self._next < self._texts

    def wait_sent(self, timeout):
        """Wait until all has been sent; False when it has not been in time."""
        self._threads[0].join(timeout)
        return not self._threads[0].is_alive()

    def _take(self):
        """Return a serial number and its text, or None when there is no more."""
        while not self._stop.is_set():
            with self._lock:
                if self._next >= self._texts:
                    return None
                if self._next < self._allowed:
                    serial = self._next
                    self._next += 1
                    command = self.commands.get(serial, "")
                    return serial, stub.compose(serial, self._random.randrange(0, 60), command), command
            self._stop.wait(0.005)
        return None

    def _pour(self):
        """Send without waiting for answers."""
        try:
            while taken := self._take():
                while self._ledger.in_flight(time.monotonic()) >= self._window and not self._stop.is_set():
                    with self._ledger.changed:
                        self._ledger.changed.wait(0.05)
                sent = self._submit(*taken)
                if sent:
                    self._listen(*sent)
        except Exception as error:
            self.failure = error
            raise

    def _submit(self, serial, text, command):
        """Send one text until it is accepted."""
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                job = self._client.submit(text)
            except HannerError as error:
                self._ledger.refuse(error.code)
                self._stop.wait(0.2)
            else:
                entry = Entry(serial, job.id, command, began, time.monotonic())
                self._ledger.accept(entry)
                return job, entry
        return None

    def _listen(self, job, entry):
        future = job._waiter.take_future()
        future.add_done_callback(lambda future: self._told(job, entry, future))

    def _told(self, job, entry, future):
        if self._stop.is_set():
            return
        try:
            job._waiter.set_meta(future.result())
            found = job.result(0)
        except BrokerUnreachable:
            self._ledger.asked_again += 1
            self._listen(job, entry)
        except HannerError as error:
            self._ledger.end(entry, str(error.code or error))
        else:
            self._book(entry, found)

    def _book(self, entry, found):
        right = stub.entities(stub.compose(entry.serial))
        self._ledger.end(entry, ANSWERED if [entity.model_dump() for entity in found] == right else "wrong")

    def _call(self):
        """Send one text and wait for it, again and again."""
        while taken := self._take():
            if not (sent := self._submit(*taken)):
                return
            job, entry = sent
            while not self._stop.is_set() and entry.ended is None:
                try:
                    found = job.result(self._patience)
                except BrokerUnreachable:
                    self._ledger.asked_again += 1
                    self._stop.wait(0.2)
                except HannerError as error:
                    if not self._stop.is_set():
                        self._ledger.end(entry, str(error.code or error))
                else:
                    self._book(entry, found)
