"""A Celery app without hanner: `celery -A support.shop worker --pool solo`, and `shop_worker` in a test.

It knows hanner by the names of its tasks and of its queue. Each task appends what it was called with to the Redis list
of its own name.
"""

import json
import os
from contextlib import contextmanager

import redis
from celery import Celery
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from support.workers import Worker, until_closed

URL = os.environ.get("HANNER_BROKER_URL", "redis://localhost:6379/0")
"""The test gives each worker the address in this variable; the app itself does not know hanner."""

app = Celery("shop", broker=URL, backend=URL, set_as_current=False)
app.conf.update(task_routes={"hanner.*": {"queue": "hanner"}}, broker_connection_retry_on_startup=True)


def record(task, value):
    retry = {"retry": Retry(ConstantBackoff(0.05), 400), "retry_on_error": [redis.OutOfMemoryError]}
    with redis.Redis.from_url(URL, **retry) as client:
        client.rpush(task, json.dumps(value))
    return value


@app.task(name="shop.store", shared=False)
def store(found, *article):
    return record("shop.store", [len(found["entities"]), *article])


@app.task(name="shop.count", shared=False)
def count(results, *label):
    return record("shop.count", [sum(len(found["entities"]) for found in results), *label])


@app.task(name="shop.on_failure", shared=False)
def on_failure(task_id, *article):
    return record("shop.on_failure", [task_id, *article])


@app.task(name="shop.echo", shared=False)
def echo(found):
    return found


@contextmanager
def shop_worker(url, queues="celery,shop", **kwargs):
    """Run the app's own worker, which consumes from the default queue and from one that only signatures name."""
    worker = Worker(url, "--pool", "solo", "-Q", queues, "--without-mingle", app="support.shop", **kwargs)
    with until_closed(worker, " ready.") as running:
        yield running
