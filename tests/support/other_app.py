"""Another Celery app, plain and without hanner, that sends canvases whose next steps run in its own worker.

`celery -A support.other_app worker` runs them. Each last step records its run in a list of Redis, for tests to count.
"""

import json
import os

from celery import Celery

RUNS = "other_app:runs"
"""The list of runs: JSON of the canvas' key, the name of the task, and what it got."""


def make_app(url):
    """Return the app; the program that sends and the worker both make one."""

    class App(Celery):
        backend_cls = url  # CELERY_RESULT_BACKEND would override backend=

    app = App("shop", set_as_current=False)
    app.conf.update(
        broker_read_url=url,  # CELERY_BROKER_URL would override broker=
        broker_write_url=url,
        task_routes={"hanner.*": {"queue": "hanner"}},
        broker_connection_retry_on_startup=True,
    )

    def record(key, task, value):
        app.backend.client.rpush(RUNS, json.dumps([key, task, value]))

    @app.task(name="shop.linked", shared=False, ignore_result=True)
    def linked(found, key):
        record(key, "linked", [found])

    @app.task(name="shop.step", shared=False, ignore_result=True)
    def step(found, key):
        return found

    @app.task(name="shop.joined", shared=False, ignore_result=True)
    def joined(found, key):
        record(key, "linked", found)

    @app.task(name="shop.failed", shared=False, ignore_result=True)
    def failed(task_id, key):
        record(key, "failed", task_id)

    return app


def close_backend(app):
    """Close the result backend of an app that has sent tasks; each thread has one of its own."""
    consumer = app.backend.result_consumer
    consumer.stop()
    consumer._pubsub = None  # results would connect to the stopped server when they are collected
    app.backend.client.close()


if os.environ.get("HANNER_BROKER_URL"):
    app = make_app(os.environ["HANNER_BROKER_URL"])
