"""How long to measure what, and with which texts."""

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.end_to_end import systems
from hanner.cli import demo_texts

COUNT = 4000


@dataclass(frozen=True)
class Size:
    """A model and how to load it.

    Attributes:
        name: What tables call it.
        model: Folder of its package; empty for the bundled one.
        seconds: How long a turn at full load takes.
        slab: Texts that the engine alone and a request of extract_many are given at once.
        window: Requests of one text under way at full load.
    """

    name: str
    model: str
    seconds: float
    slab: int
    window: int


@dataclass(frozen=True)
class Plan:
    """What all sections share.

    Attributes:
        texts: What is sent, in turn.
        source: Where they are from, for the page.
        scratch: Where logs go.
        cores: Processes of a full machine.
        rounds: Turns of each way.
        scale: Share of the usual time.
    """

    texts: list[str]
    source: str
    scratch: Path
    cores: int
    rounds: int
    scale: float

    def default(self) -> Size:
        return Size("default", "", 6 * self.scale, 128, 256)

    def base(self) -> Size:
        return Size("base", systems.base_size(), 8 * self.scale, 32, 128)

    def singles(self) -> Iterator[str]:
        return itertools.cycle(self.texts)

    def many(self, size: int) -> Iterator[list[str]]:
        texts = self.singles()
        return (list(itertools.islice(texts, size)) for _ in itertools.count())

    def about_texts(self) -> dict[str, Any]:
        lengths = sorted(map(len, self.texts))
        mean = round(sum(lengths) / len(lengths), 1)
        return {"source": self.source, "count": len(lengths), "mean": mean, "longest": lengths[-1]}


def read_texts(file: Path | None) -> tuple[list[str], str]:
    """Return texts, and where they are from: a JSON object with `text` a line, or a text a line; else the demo's."""
    if file is None:
        return demo_texts.mixture(COUNT), "cut from the demo's article"
    lines = file.read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines] if file.suffix == ".jsonl" else lines
    texts = [text for text in texts if text.strip()]
    return texts[:: max(1, len(texts) // COUNT)][:COUNT], file.name


def cores() -> int:
    return len(os.sched_getaffinity(0))
