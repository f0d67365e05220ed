"""Sends canvases from another Celery app: the next steps of hanner's tasks run in that app's own worker.

The canvas with serial number n is of kind `KINDS[n % 4]`. It ends when its last step or its errback has run; a canvas
of which neither runs is lost.
"""

import json
import random
import threading
import time
from collections import Counter

from celery import chain, chord, signature
from celery.utils import uuid

from chaos import fake_model
from chaos.request_log import ANSWERED, SentText
from support.other_app import RUNS, close_backend, make_app
from support.systems import System

OTHER_APP = System("other app", "chaos.followers", ("support.other_app",))
KINDS = ("link", "chain", "chord", "errback")
CHORD_PARTS = 3
WINDOW = 128
"""Largest number of canvases in flight."""
FAILED = "failed"


class CanvasProducer:
    """Sends canvases in a thread, and logs the runs of their last steps in another; as Producer does for texts.

    Args:
        url: The URL of the broker.
        log: The request log; it has an entry for each canvas.
        canvases: How many to send.
        seed: Seed of the text lengths.
    """

    def __init__(self, url, log, canvases, *, seed, commands=()):
        self._app = make_app(url)
        self._log = log
        self._canvases = canvases
        self._allowed = canvases
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._send_all, self._receive)]
        self._runs = Counter()
        self.commands = commands
        self.failure = None

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        self._app.close()

    def allow(self, count):
        """Send only the first `count` canvases for now, so that they last as long as the faults."""
        self._allowed = min(self._canvases, count)

    def wait_sent(self, timeout):
        """Wait until all canvases are sent. Return False after `timeout` seconds."""
        self._threads[0].join(timeout)
        return not self._threads[0].is_alive()

    def notes(self):
        """Return how many canvases of each kind have ended, and how many last steps ran more than once."""
        ended = Counter(KINDS[serial % len(KINDS)] for serial in self._runs)
        again = Counter(KINDS[serial % len(KINDS)] for serial, runs in self._runs.items() if runs > 1)
        kinds = ", ".join(f"{ended[kind]:,} {kind}" for kind in KINDS)
        repeated = ", ".join(f"{again[kind]} {kind}" for kind in KINDS)
        return [f"last steps that ran: {kinds}; more than once: {repeated}"]

    def _send_all(self):
        try:
            for serial in range(self._canvases):
                while not self._stop.is_set() and (serial >= self._allowed or self._is_full()):
                    self._stop.wait(0.005)
                if self._stop.is_set():
                    return
                self._send(serial)
        except Exception as error:
            self.failure = error
            raise
        finally:
            close_backend(self._app)

    def _is_full(self):
        return self._log.in_flight(time.monotonic()) >= WINDOW

    def _send(self, serial):
        kind = KINDS[serial % len(KINDS)]
        texts = [fake_model.make_text(serial, self._random.randrange(60)) for _ in range(CHORD_PARTS)]
        task_id, began = uuid(), time.monotonic()
        # Before it is sent, because its last step may run before the call returns.
        self._log.accept(SentText(serial, task_id, "", began, began))
        linked, failed = self._step("shop.linked", serial), self._step("shop.failed", serial)
        if kind == "link":
            extract(self._app, texts[0], task_id).apply_async(link=linked, link_error=failed)
        elif kind == "chain":
            steps = chain(extract(self._app, texts[0], task_id), self._step("shop.step", serial), linked, app=self._app)
            steps.apply_async(link_error=failed)
        elif kind == "chord":
            parts = [extract(self._app, text, task_id if n == 0 else uuid()) for n, text in enumerate(texts)]
            chord(parts, self._step("shop.joined", serial).on_error(failed), app=self._app).apply_async()
        else:
            wrong = fake_model.make_text(serial, command="!raise") if serial % 8 < len(KINDS) else serial
            extract(self._app, wrong, task_id).apply_async(link=linked, link_error=failed)

    def _step(self, task, serial):
        return self._app.tasks[task].s(serial)

    def _receive(self):
        client = self._app.backend.client
        while not self._stop.is_set():
            if popped := client.blpop([RUNS], timeout=0.2):
                self._record(*json.loads(popped[1]))
        close_backend(self._app)

    def _record(self, serial, task, value):
        self._runs[serial] += 1
        entry = self._log.texts[serial]
        outcome = self._outcome(serial, task, value)
        if entry.ended is None or entry.outcome != outcome:
            self._log.end(entry, outcome)

    def _outcome(self, serial, task, value):
        """Return ANSWERED if the right step got the right value, the type of a fault's error, or wrong."""
        if (KINDS[serial % len(KINDS)] == "errback") == (task == FAILED):
            expected = fake_model.entities(fake_model.make_text(serial))
            right = task == FAILED or all(found["entities"] == expected for found in value)
            return ANSWERED if right else "wrong"
        if task != FAILED:
            return "wrong"
        return type(self._app.backend.get_task_meta(value)["result"]).__name__


def extract(app, text, task_id):
    """Return the signature of hanner's task as an app writes it that has no hanner installed."""
    return signature("hanner.extract", [text], app=app, task_id=task_id)
