"""The other app of a plan: `celery -A chaos.followers worker` runs the next steps, and logs that it is ready."""

import os

from celery.signals import worker_ready

from chaos import fake_model
from support.other_app import make_app


@worker_ready.connect
def _ready(**_):
    fake_model.ready()


if os.environ.get("HANNER_BROKER_URL"):
    app = make_app(os.environ["HANNER_BROKER_URL"])
