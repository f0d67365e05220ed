"""nerq's worker with the model that does nothing: `celery -A benchmarks.queues.worker worker`."""

import os
from dataclasses import dataclass
from types import SimpleNamespace

from benchmarks.queues import noop
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
        id="noop@00000000",
        digest="0" * 64,
        manifest=SimpleNamespace(tokenizer=SimpleNamespace(max_length=512, lowercase=True, half_width=True)),
        name="noop",
    )
    batch_texts, batch_tokens = 32, 2048

    def run(self, texts):
        found = [[Entity(**entity) for entity in entities] for entities in noop.run(texts)]
        return found, Stats(len(texts), sum(map(len, texts)), max(map(len, texts)) * len(texts))


app = make_worker_app(Settings.from_env(), load=lambda settings: Recogniser())
app.conf.worker_send_task_events = os.environ["BENCH_EVENTS"] == "1"
