"""As many processes with the engine alone as are wanted, told what to do together."""

import json
import os
import subprocess
import sys
import time
from typing import Self

from benchmarks.end_to_end.load import Flow


class Engines:
    """Runs engine_alone.py so many times; a context manager.

    Args:
        model: Folder of a package; empty for the bundled one.
        processes: How many.
        texts: What they work on; each begins at another place.

    Attributes:
        cold: Seconds from starting the programs until all were ready, the first text's answer included.
        model: NAME@DIGEST8.
    """

    def __init__(self, model: str, processes: int, texts: list[str]) -> None:
        self._model, self._processes, self._texts = model, processes, texts

    def __enter__(self) -> Self:
        began = time.perf_counter()
        self._running = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.end_to_end.engine_alone", self._model],
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(self._processes)
        ]
        for number, process in enumerate(self._running):
            start = number * len(self._texts) // self._processes
            tell(process, self._texts[start:] + self._texts[:start])
        self.model = [heard(process)["model"] for process in self._running].pop()
        self.cold = time.perf_counter() - began
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.stdin.close()
            process.wait(60)
            process.stdout.close()

    def run(self, seconds: float, slab: int) -> tuple[Flow, float]:
        """Let all work at once; return what they did together, and the seconds of CPU time a text took."""
        for process in self._running:
            tell(process, {"seconds": seconds, "slab": slab})
        each = [heard(process) for process in self._running]
        rate = sum(one["texts"] / one["seconds"] for one in each)
        texts, characters = (sum(one[what] for one in each) for what in ("texts", "characters"))
        return Flow(texts, characters, texts / rate), sum(one["cpu"] for one in each) / texts

    def one(self, text: str) -> float:
        """Return the milliseconds that one text takes the first of them."""
        tell(self._running[0], {"text": text})
        return heard(self._running[0])["ms"]


def tell(process, what) -> None:
    process.stdin.write(json.dumps(what) + "\n")
    process.stdin.flush()


def heard(process):
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the engine's process ended with {process.wait()}")
    return json.loads(line)
