"""hanner's worker with a fake model that takes time but no CPU.

Each process handles SLOW_WORKER_RATE texts per second or, if that is not set, SLOW_WORKER_CHARACTERS per second.
"""

import os
import time

from hanner.settings import Settings
from hanner_worker.app import make_worker_app
from support.fakes.recogniser import FakeRecogniser

CHARACTERS_PER_ENTITY = 100


def find(texts):
    rate = os.environ.get("SLOW_WORKER_RATE")
    if rate:
        time.sleep(len(texts) / float(rate))
    else:
        time.sleep(sum(map(len, texts)) / float(os.environ["SLOW_WORKER_CHARACTERS"]))
    return [[entity(text, n) for n in range(0, len(text) - 1, CHARACTERS_PER_ENTITY)] for text in texts]


def entity(text, start):
    return {"text": text[start : start + 2], "type": "PER", "start": start, "end": start + 2, "score": 0.9}


if os.environ.get("HANNER_BROKER_URL"):
    app = make_worker_app(Settings.from_env(), load=lambda settings: FakeRecogniser("slow", find))
