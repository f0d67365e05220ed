"""hanner's worker with a fake model that takes time but no CPU: it handles SLOW_WORKER_RATE texts per second."""

import os
import time

from hanner.settings import Settings
from hanner_worker.app import make_worker_app
from support.fakes.recogniser import FakeRecogniser


def find(texts):
    time.sleep(len(texts) / float(os.environ["SLOW_WORKER_RATE"]))
    return [[{"text": text[:2], "type": "PER", "start": 0, "end": 2, "score": 0.9}] for text in texts]


if os.environ.get("HANNER_BROKER_URL"):
    app = make_worker_app(Settings.from_env(), load=lambda settings: FakeRecogniser("slow", find))
