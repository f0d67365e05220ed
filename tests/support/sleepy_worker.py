"""hanner's worker with an engine that only takes its time: SLEEPY_RATE texts a second. It leaves the processor free."""

import os
import time

from hanner.settings import Settings
from hanner_worker.app import make_worker_app
from support.pretended import Recogniser


def find(texts):
    time.sleep(len(texts) / float(os.environ["SLEEPY_RATE"]))
    return [[{"text": text[:2], "type": "PER", "start": 0, "end": 2, "score": 0.9}] for text in texts]


if os.environ.get("HANNER_BROKER_URL"):
    app = make_worker_app(Settings.from_env(), load=lambda settings: Recogniser("sleepy", find))
