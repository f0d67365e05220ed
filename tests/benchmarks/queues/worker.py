"""hanner's worker with a model that does nothing: `celery -A benchmarks.queues.worker worker`."""

import os

from benchmarks.queues import noop
from hanner.settings import Settings
from hanner_worker.app import make_worker_app
from support.fakes.recogniser import FakeRecogniser

app = make_worker_app(Settings.from_env(), load=lambda settings: FakeRecogniser("noop", noop.run))
app.conf.worker_send_task_events = os.environ["BENCH_EVENTS"] == "1"
