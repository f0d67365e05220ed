"""Processes that run the engine without a queue, controlled together."""

import json
import os
import subprocess
import sys
import time
from typing import Self

from benchmarks.end_to_end.load import Throughput


class EngineProcesses:
    """Processes that run engine_process.py, as a context manager.

    Args:
        model: Folder of a package; empty for the default one.
        processes: Number of processes.
        texts: The texts to process; each process starts at another position.

    Attributes:
        cold: Seconds from starting the programs until all are ready, including a first text.
        model: Id of the package, NAME@DIGEST8.
    """

    def __init__(self, model: str, processes: int, texts: list[str]) -> None:
        self._model, self._processes, self._texts = model, processes, texts

    def __enter__(self) -> Self:
        started = time.perf_counter()
        self._running = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.end_to_end.engine_process", self._model],
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(self._processes)
        ]
        for number, process in enumerate(self._running):
            start = number * len(self._texts) // self._processes
            send(process, self._texts[start:] + self._texts[:start])
        self.model = [receive(process)["model"] for process in self._running].pop()
        self.cold = time.perf_counter() - started
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.stdin.close()
            process.wait(60)
            process.stdout.close()

    def run(self, seconds: float, batch: int) -> tuple[Throughput, float]:
        """Run all processes concurrently; return their total throughput and the CPU seconds per text."""
        for process in self._running:
            send(process, {"seconds": seconds, "batch": batch})
        results = [receive(process) for process in self._running]
        rate = sum(result["texts"] / result["seconds"] for result in results)
        texts, characters = (sum(result[key] for result in results) for key in ("texts", "characters"))
        return Throughput(texts, characters, texts / rate), sum(result["cpu"] for result in results) / texts

    def run_one(self, text: str) -> float:
        """Return the milliseconds that one text takes in the first process."""
        send(self._running[0], {"text": text})
        return receive(self._running[0])["ms"]


def send(process, message) -> None:
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()


def receive(process):
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the engine's process exited with {process.wait()}")
    return json.loads(line)
