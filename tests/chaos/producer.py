"""Sends texts with hanner's client as fast as the system accepts them, and logs every outcome."""

import random
import threading
import time

from chaos import fake_model
from chaos.request_log import ANSWERED, SentText
from hanner import Client, HannerError
from hanner.errors import BrokerUnreachable

WINDOW = 512
"""Largest number of texts in flight."""
CALLERS = 4
"""Threads that each send one text after the other and wait for it, as most programs do."""


class Producer:
    """Sends texts in threads and logs all of them.

    Args:
        url: The URL of the broker.
        log: The request log.
        texts: How many texts to send.
        seed: Seed of the text lengths and of the positions of `commands`.
        commands: Commands for the fake model, at random positions.
        window: Largest number of texts in flight.
        timeout: Seconds to wait for a result.
    """

    def __init__(self, url, log, texts, *, seed, commands=(), window=WINDOW, timeout=300.0):
        self._client = Client(url, timeout=timeout, connect_timeout=5.0)
        self._log = log
        self._texts = texts
        self._random = random.Random(seed)
        self._window = window
        self._timeout = timeout
        self.commands = dict(zip(sorted(self._random.sample(range(texts), len(commands))), commands, strict=True))
        self._allowed = texts
        self._next = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._submit_all, daemon=True)]
        self._threads += [threading.Thread(target=self._call_repeatedly, daemon=True) for _ in range(CALLERS)]
        self.failure = None

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._client.close()
        for thread in self._threads:
            thread.join(60)

    def allow(self, count):
        """Send only the first `count` texts for now, so that they last as long as the faults."""
        self._allowed = min(self._texts, count)

    def sending(self):
        """Return whether there are more texts to send."""
        return self._next < self._texts

    def notes(self):
        """Return remarks for the table."""
        return []

    def wait_sent(self, timeout):
        """Wait until all texts are sent. Return False after `timeout` seconds."""
        self._threads[0].join(timeout)
        return not self._threads[0].is_alive()

    def _next_text(self):
        """Return a serial number, its text and its command; None at the end."""
        while not self._stop.is_set():
            with self._lock:
                if self._next >= self._texts:
                    return None
                if self._next < self._allowed:
                    serial = self._next
                    self._next += 1
                    command = self.commands.get(serial, "")
                    return serial, fake_model.make_text(serial, self._random.randrange(0, 60), command), command
            self._stop.wait(0.005)
        return None

    def _submit_all(self):
        """Send texts without waiting for their results."""
        try:
            while text := self._next_text():
                while self._log.in_flight(time.monotonic()) >= self._window and not self._stop.is_set():
                    with self._log.changed:
                        self._log.changed.wait(0.05)
                sent = self._submit(*text)
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
                self._log.refuse(error.code)
                self._stop.wait(0.2)
            else:
                entry = SentText(serial, job.id, command, began, time.monotonic())
                self._log.accept(entry)
                return job, entry
        return None

    def _listen(self, job, entry):
        future = job._waiter.take_future()
        future.add_done_callback(lambda future: self._handle_outcome(job, entry, future))

    def _handle_outcome(self, job, entry, future):
        if self._stop.is_set():
            return
        try:
            job._waiter.set_meta(future.result())
            found = job.result(0)
        except BrokerUnreachable:
            self._log.reconnects += 1
            self._listen(job, entry)
        except HannerError as error:
            self._log.end(entry, str(error.code or error))
        else:
            self._record_answer(entry, found)

    def _record_answer(self, entry, found):
        expected = fake_model.entities(fake_model.make_text(entry.serial))
        self._log.end(entry, ANSWERED if found == expected else "wrong")

    def _call_repeatedly(self):
        """Send one text after the other, each when the one before has its outcome."""
        while text := self._next_text():
            if not (sent := self._submit(*text)):
                return
            job, entry = sent
            while not self._stop.is_set() and entry.ended is None:
                try:
                    found = job.result(self._timeout)
                except BrokerUnreachable:
                    self._log.reconnects += 1
                    self._stop.wait(0.2)
                except HannerError as error:
                    if not self._stop.is_set():
                        self._log.end(entry, str(error.code or error))
                else:
                    self._record_answer(entry, found)
