"""The scenarios of the benchmark: how texts are sent, and which worker processes them."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

from celery import Celery

from benchmarks.queues.stack import WAITING
from hanner import Client
from support.systems import CELERY, CELERY_BATCHES, System, hanner

HANNER = hanner("benchmarks.queues.worker")
MANY = 64
"""Texts per request of `extract_many`; the same as for `stream`."""


@dataclass(frozen=True)
class Scenario:
    """A way to send texts and a worker that processes them.

    Attributes:
        name: shown in the table.
        system: the worker.
        sender: returns a context manager for an address, which yields a function that sends a list of texts.
        texts: texts per request.
        share: number of texts as a share of --texts; slow scenarios get fewer.
    """

    name: str
    system: System
    sender: Callable
    texts: int
    share: float


@contextmanager
def celery_sender(url):
    """Yield a function that sends one text per task with Celery."""
    app = Celery("sender", broker=url, backend=url, set_as_current=False)
    app.conf.task_default_queue = WAITING

    def send(texts):
        for text in texts:
            app.send_task("hanner.extract", [text])

    try:
        yield send
    finally:
        app.backend.result_consumer.stop()
        app.close()


@contextmanager
def submit_sender(url):
    """Yield a function that sends one text per task with hanner's client."""
    with Client(url, queue=WAITING, max_queue=0) as ner:

        def send(texts):
            for text in texts:
                ner.submit(text)

        yield send


@contextmanager
def submit_many_sender(url):
    """Yield a function that sends MANY texts per task with hanner's client."""
    with Client(url, queue=WAITING, max_queue=0) as ner:

        def send(texts):
            for start in range(0, len(texts), MANY):
                ner.submit_many(texts[start : start + MANY])

        yield send


SCENARIOS = {
    "a": Scenario("plain Celery task", CELERY, celery_sender, 1, 0.1),
    "b": Scenario("celery-batches", CELERY_BATCHES, celery_sender, 1, 0.25),
    "c": Scenario("hanner, one text per task", HANNER, submit_sender, 1, 1.0),
    "d": Scenario(f"hanner, extract_many of {MANY}", HANNER, submit_many_sender, MANY, 4.0),
}
