"""Who is measured: how each sends texts, and which worker answers them."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

from celery import Celery

from benchmarks.queues.rig import WAITING
from hanner import Client
from support.systems import CELERY, CELERY_BATCHES, System, hanner

HANNER = hanner("benchmarks.queues.worker")
MANY = 64
"""Texts in one request of `extract_many`; `stream` sends so many."""


@dataclass(frozen=True)
class Contender:
    """One way to have texts answered.

    Attributes:
        name: what the table calls it.
        system: its worker.
        sender: from an address, a context manager that yields a call which sends a list of texts.
        texts: texts in one request.
        share: texts measured, as a share of --texts: slow ones get fewer.
    """

    name: str
    system: System
    sender: Callable
    texts: int
    share: float


@contextmanager
def by_celery(url):
    """Send one text per task, one task after the other, as any Celery app does."""
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
def by_submit(url):
    """Send one text per task with hanner's client, one task after the other."""
    with Client(url, queue=WAITING, max_queue=0) as ner:

        def send(texts):
            for text in texts:
                ner.submit(text)

        yield send


@contextmanager
def by_submit_many(url):
    """Send MANY texts per task with hanner's client."""
    with Client(url, queue=WAITING, max_queue=0) as ner:

        def send(texts):
            for start in range(0, len(texts), MANY):
                ner.submit_many(texts[start : start + MANY])

        yield send


CONTENDERS = {
    "a": Contender("plain Celery task", CELERY, by_celery, 1, 0.1),
    "b": Contender("celery-batches", CELERY_BATCHES, by_celery, 1, 0.25),
    "c": Contender("hanner, one text per task", HANNER, by_submit, 1, 1.0),
    "d": Contender(f"hanner, extract_many of {MANY}", HANNER, by_submit_many, MANY, 4.0),
}
