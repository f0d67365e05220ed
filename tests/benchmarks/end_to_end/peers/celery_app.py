"""hanner's engine in a plain Celery task, opened before the pool forks: `celery -A …celery_app worker`.

The task has hanner's name and result, so hanner's client drives it.
"""

import os

from celery import Celery

from hanner_inference import load

URL = os.environ["HANNER_BROKER_URL"]
app = Celery("stock", broker=URL, backend=URL)
app.conf.update(
    task_default_queue="hanner",
    worker_prefetch_multiplier=16,
    broker_connection_retry_on_startup=True,
    task_serializer="json",
    accept_content=["json"],
)
ner = load()


@app.task(name="hanner.extract")
def extract(text):
    return {"entities": ner.extract([text])[0], "model": ner.model}
