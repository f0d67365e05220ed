"""nerq's worker with the pretended model: `celery -A chaos.worker worker`. All but the model is real."""

import os
from dataclasses import dataclass
from types import SimpleNamespace

from celery.signals import worker_ready

from chaos import stub
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
        id="chaos@00000000",
        digest="0" * 64,
        manifest=SimpleNamespace(tokenizer=SimpleNamespace(max_length=512, lowercase=True, half_width=True)),
        name="chaos",
    )
    batch_texts, batch_tokens = 32, 2048

    def run(self, texts):
        found = [[Entity(**entity) for entity in entities] for entities in stub.run(texts)]
        return found, Stats(len(texts), sum(map(len, texts)), max(map(len, texts)) * len(texts))


@worker_ready.connect
def _ready(**_):
    stub.note("ready")


if os.environ.get("NERQ_BROKER_URL"):
    app = make_worker_app(Settings.from_env(), load=lambda settings: Recogniser())
    if limit := os.environ.get("CHAOS_TIME_LIMIT"):
        app.conf.task_time_limit = float(limit)
