"""hanner's worker with the fake model: `celery -A chaos.worker worker`. Everything except the model is real."""

import os

from celery.signals import worker_ready

from chaos import fake_model
from hanner.settings import Settings
from hanner_worker.app import make_worker_app
from support.fakes.recogniser import FakeRecogniser


@worker_ready.connect
def _ready(**_):
    fake_model.ready()


if os.environ.get("HANNER_BROKER_URL"):
    app = make_worker_app(Settings.from_env(), load=lambda settings: FakeRecogniser("chaos", fake_model.run))
    if limit := os.environ.get("CHAOS_TIME_LIMIT"):
        app.conf.task_time_limit = float(limit)
