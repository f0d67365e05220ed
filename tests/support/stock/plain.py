"""A plain Celery task with late acknowledgement: `celery -A support.stock.plain worker`."""

import os

from celery import Celery

from support.stock import model

url = os.environ["HANNER_BROKER_URL"]
app = Celery("plain", broker=url, backend=url)
app.conf.update(task_default_queue="hanner", task_acks_late=True, worker_prefetch_multiplier=4)


@app.task(name="hanner.extract")
def extract(text):
    return {"entities": model.run([text])[0], "model": "plain@00000000"}
