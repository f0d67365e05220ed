"""hanner's worker with the pretended model: `celery -A chaos.worker worker`. All but the model is real."""

import os

from celery.signals import worker_ready

from chaos import stub
from hanner.settings import Settings
from hanner_worker.app import make_worker_app
from support.pretended import Recogniser


@worker_ready.connect
def _ready(**_):
    stub.note("ready")


if os.environ.get("HANNER_BROKER_URL"):
    app = make_worker_app(Settings.from_env(), load=lambda settings: Recogniser("chaos", stub.run))
    if limit := os.environ.get("CHAOS_TIME_LIMIT"):
        app.conf.task_time_limit = float(limit)
