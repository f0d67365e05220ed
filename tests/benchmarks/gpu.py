"""Measure characters per second on a GPU at BERT-base's size, without and with the queue. Needs CUDA.

    PYTHONPATH=tests python tests/benchmarks/gpu.py [TEXTS.jsonl] [--texts 20000] [--rounds 3] [--processes 1 2 4]
        [--clients 4] [--budgets 2048 16384 65536] [--device cuda]

First without a queue, in one process: HANNER_ENGINE=torch in BF16, texts to entities, for each maximum of tokens per
batch (4,096 texts at a time, grouped by length). Then through Redis: a worker with several processes, and clients that
stream the same texts, each in its own process. Times are wall-clock times. Prints medians in characters per second, the
ratio to the best rate without a queue, and the GPU utilisation reported by nvidia-smi.

--device cpu tests this script without a GPU, with a small model and INT8; the figures are meaningless.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from hanner import Client
from hanner.settings import Settings
from hanner_inference.package import open_package
from hanner_inference.pipeline import Recogniser
from hanner_models.conversion.calibration_data import built_in_sentences
from hanner_models.conversion.torch_engine import TorchEngine
from support.base_package import FOLDER, base_package, write_random_package
from support.servers import redis_server
from support.workers import worker

TEXTS_AT_ONCE = 4096


def main() -> None:
    options = parse()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU; install a PyTorch with CUDA on a machine with a GPU")
    texts = read_texts(options.file, options.texts)
    characters = sum(map(len, texts))
    with tempfile.TemporaryDirectory() as scratch:
        package = base_package(FOLDER) if options.device == "cuda" else write_random_package(Path(scratch) / "small")
        print(f"{device_name(options.device)}, PyTorch {torch.__version__}, {package.name}")
        print(f"{len(texts):,} texts of {characters / len(texts):.0f} characters, medians of {options.rounds}")
        best = 0.0
        for budget in options.budgets:
            rate = run_spawned(measure_direct, package, texts, budget, options)
            best = max(best, rate)
            print(f"no queue, batches of {budget:>6,} tokens {rate:>12,.0f} characters/s", flush=True)
        for processes in options.processes:
            rate, busy = measure_queued(package, texts, processes, options)
            print(
                f"queue, {processes} processes {rate:>27,.0f} characters/s, {rate / best:.0%} of that{busy}", flush=True
            )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--budgets", type=int, nargs="+", default=[2048, 16_384, 65_536])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    return parser.parse_args()


def read_texts(file, count) -> list[str]:
    """Return `count` different texts, because texts that are repeated in a batch are inferred once."""
    texts = built_in_sentences()
    if file is not None:
        texts = [json.loads(line)["text"] for line in file.read_text("utf-8").splitlines()]
    texts = [text for text in texts if text.strip()]
    return [f"{texts[n % len(texts)]}{n}" for n in range(count)]


def device_name(device) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


def run_spawned(function, *arguments):
    """Run a function in a spawned process: CUDA must not be initialised in a process that forks."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def measure_direct(package, texts, budget, options) -> float:
    opened = open_package(package)
    engine = TorchEngine(opened, device=options.device)
    recogniser = Recogniser(opened, engine, batch_texts=1024, batch_tokens=budget)
    recogniser.run(texts[:TEXTS_AT_ONCE])  # warm-up: moves the weights to the GPU
    rates = []
    for _ in range(options.rounds):
        started = time.perf_counter()
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            recogniser.run(texts[start : start + TEXTS_AT_ONCE])
        rates.append(sum(map(len, texts)) / (time.perf_counter() - started))
    return statistics.median(rates)


def measure_queued(package, texts, processes, options) -> tuple[float, str]:
    """Return characters per second through the queue, and a note on the GPU utilisation."""
    env = {"HANNER_MODEL": str(package), "HANNER_ENGINE": "torch", "HANNER_CONCURRENCY": str(processes)}
    context = multiprocessing.get_context("spawn")
    with redis_server() as server, worker(server.url, app="hanner_worker", env=env, ready=False, cold=True) as running:
        running.wait_for("ready: model", timeout=300)
        shares = [(server.url, texts[number :: options.clients]) for number in range(options.clients)]
        with context.Pool(options.clients) as clients:
            clients.starmap(
                stream, [(url, share[:256]) for url, share in shares]
            )  # warm-up: every process moves its weights
            rates, busy = [], []
            for _ in range(options.rounds):
                started = time.perf_counter()
                pending = clients.starmap_async(stream, shares)
                while not pending.ready():
                    busy += utilisation(options.device)
                    pending.wait(0.5)
                assert sum(pending.get()) == len(texts)
                rates.append(sum(map(len, texts)) / (time.perf_counter() - started))
        running.stop()
    return statistics.median(rates), f", GPU busy {statistics.mean(busy):.0f} % of the time" if busy else ""


def stream(url, texts) -> int:
    """Stream texts and return the number of successful results."""
    with Client(settings=Settings(broker_url=url, timeout=300)) as ner:
        return sum(document.error is None for document in ner.stream(texts, window=2 * TEXTS_AT_ONCE))


def utilisation(device) -> list[int]:
    if device == "cpu":
        return []
    number = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-i", number]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return [int(each) for each in output if each.isdigit()]


if __name__ == "__main__":
    main()
