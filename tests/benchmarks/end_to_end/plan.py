"""The parameters of a benchmark run: models, texts, durations."""

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.end_to_end import systems
from hanner.cli import demo_texts

TEXT_COUNT = 4000


@dataclass(frozen=True)
class Size:
    """A model and the load for it.

    Attributes:
        name: Its key in the results.
        model: Folder of its package, or the name of a bundled model; empty for the default one.
        seconds: Duration of a round at full load.
        chunk: Texts per call of the engine alone, and per request of extract_many.
        window: Requests with one text in flight at full load.
    """

    name: str
    model: str
    seconds: float
    chunk: int
    window: int


@dataclass(frozen=True)
class Plan:
    """The parameters that all sections share.

    Attributes:
        texts: The texts to send, repeatedly.
        source: Their origin, for the page.
        scratch: Folder for logs.
        cores: Number of cores, and of pool processes that use all of them.
        rounds: Number of rounds of each measurement.
        scale: Share of the usual duration.
    """

    texts: list[str]
    source: str
    scratch: Path
    cores: int
    rounds: int
    scale: float

    def sizes(self) -> tuple[Size, ...]:
        """Return the models to measure: the default one, the smallest one, and one of BERT-base's size."""
        return self.default(), self.small(), self.base()

    def default(self) -> Size:
        return Size("default", "", 4 * self.scale, 64, 256)

    def small(self) -> Size:
        return Size("small", "hanner-small", 4 * self.scale, 128, 256)

    def base(self) -> Size:
        return Size("base", systems.base_size(), 5 * self.scale, 32, 128)

    def singles(self) -> Iterator[str]:
        return itertools.cycle(self.texts)

    def many(self, size: int) -> Iterator[list[str]]:
        texts = self.singles()
        return (list(itertools.islice(texts, size)) for _ in itertools.count())

    def describe_texts(self) -> dict[str, Any]:
        lengths = sorted(map(len, self.texts))
        mean = round(sum(lengths) / len(lengths), 1)
        return {"source": self.source, "count": len(lengths), "mean": mean, "longest": lengths[-1]}


def read_texts(file: Path | None) -> tuple[list[str], str]:
    """Return texts and their origin. A file has a text per line, or a JSON object with `text` (.jsonl)."""
    if file is None:
        return demo_texts.mixture(TEXT_COUNT), "cut from the demo's article"
    lines = file.read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines] if file.suffix == ".jsonl" else lines
    texts = [text for text in texts if text.strip()]
    return texts[:: max(1, len(texts) // TEXT_COUNT)][:TEXT_COUNT], file.name


def cores() -> int:
    return len(os.sched_getaffinity(0))
