"""celery-batches with late acknowledgement, as in its documentation: `celery -A support.stock.batches worker`."""

import os

from celery import Celery
from celery_batches import Batches

from support.stock import model

url = os.environ["HANNER_BROKER_URL"]
app = Celery("batches", broker=url, backend=url)
# It has to prefetch more than one batch. hanner's worker fetches four per process.
app.conf.update(task_default_queue="hanner", task_acks_late=True, worker_prefetch_multiplier=128)


@app.task(name="hanner.extract", base=Batches, flush_every=32, flush_interval=0.05)
def extract(requests):
    found = model.run([request.args[0] for request in requests])
    for request, entities in zip(requests, found, strict=True):
        app.backend.mark_as_done(request.id, {"entities": entities, "model": "batches@00000000"}, request=request)
