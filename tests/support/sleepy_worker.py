"""nerq's worker with an engine that only takes its time: SLEEPY_RATE texts a second. It leaves the processor free."""

import os
import time
from dataclasses import dataclass
from types import SimpleNamespace

from nerq.contract import Entity
from nerq.settings import Settings
from nerq_worker.app import make_worker_app


@dataclass(frozen=True)
class Stats:
    windows: int
    tokens: int
    padded_tokens: int


class Recogniser:
    package = SimpleNamespace(
        id="sleepy@00000000",
        digest="0" * 64,
        manifest=SimpleNamespace(tokenizer=SimpleNamespace(max_length=512, lowercase=True, half_width=True)),
        name="sleepy",
    )
    batch_texts, batch_tokens = 32, 2048

    def __init__(self, rate):
        self._rate = rate

    def run(self, texts):
        time.sleep(len(texts) / self._rate)
        found = [[Entity(text=text[:2], type="PER", start=0, end=2, score=0.9)] for text in texts]
        return found, Stats(len(texts), sum(map(len, texts)), max(map(len, texts)) * len(texts))


if os.environ.get("NERQ_BROKER_URL"):
    rate = float(os.environ["SLEEPY_RATE"])
    app = make_worker_app(Settings.from_env(), load=lambda settings: Recogniser(rate))
