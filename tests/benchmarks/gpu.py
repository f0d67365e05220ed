"""Characters per second on a GPU at BERT-base's size, and how far the queue keeps the GPU fed. Needs CUDA.

    PYTHONPATH=tests python tests/benchmarks/gpu.py [TEXTS.jsonl] [--texts 20000] [--rounds 3] [--processes 1 2 4]
        [--clients 4] [--budgets 2048 16384 65536] [--device cuda]

First without a queue, in one process: HANNER_ENGINE=torch in BF16, texts to entities, for each budget of tokens per
batch (texts wait in slabs of 4,096, grouped by length). Then through Redis: a worker with so many processes, and
clients that stream the same texts, each in its own process. By the clock, for the GPU's time is no CPU time. Prints
medians in characters per second, the queue's share of the best without one, and how busy nvidia-smi says the GPU was.

--device cpu tries the script itself where there is no GPU, with a small model and INT8; its figures mean nothing.
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

SLAB = 4096


def main() -> None:
    options = parse()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no GPU that PyTorch can use; install a PyTorch with CUDA on a machine that has one")
    texts = read_texts(options.file, options.texts)
    characters = sum(map(len, texts))
    with tempfile.TemporaryDirectory() as scratch:
        package = base_package(FOLDER) if options.device == "cuda" else write_random_package(Path(scratch) / "small")
        print(f"{device_name(options.device)}, PyTorch {torch.__version__}, {package.name}")
        print(f"{len(texts):,} texts of {characters / len(texts):.0f} characters, medians of {options.rounds}")
        best = 0.0
        for budget in options.budgets:
            rate = spawned(direct, package, texts, budget, options)
            best = max(best, rate)
            print(f"no queue, batches of {budget:>6,} tokens {rate:>12,.0f} characters/s", flush=True)
        for processes in options.processes:
            rate, busy = queued(package, texts, processes, options)
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
    """Return so many texts, no two the same: what comes twice in a batch is worked on once."""
    texts = built_in_sentences()
    if file is not None:
        texts = [json.loads(line)["text"] for line in file.read_text("utf-8").splitlines()]
    texts = [text for text in texts if text.strip()]
    return [f"{texts[n % len(texts)]}{n}" for n in range(count)]


def device_name(device) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


def spawned(work, *arguments):
    """Run in a fresh process: CUDA must not be started in one that forks."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def direct(package, texts, budget, options) -> float:
    opened = open_package(package)
    engine = TorchEngine(opened, device=options.device)
    recogniser = Recogniser(opened, engine, batch_texts=1024, batch_tokens=budget)
    recogniser.run(texts[:SLAB])  # moves the weights, and lets CUDA choose its kernels
    rates = []
    for _ in range(options.rounds):
        began = time.perf_counter()
        for start in range(0, len(texts), SLAB):
            recogniser.run(texts[start : start + SLAB])
        rates.append(sum(map(len, texts)) / (time.perf_counter() - began))
    return statistics.median(rates)


def queued(package, texts, processes, options) -> tuple[float, str]:
    """Return characters per second through the queue, and what nvidia-smi saw meanwhile."""
    env = {"HANNER_MODEL": str(package), "HANNER_ENGINE": "torch", "HANNER_CONCURRENCY": str(processes)}
    context = multiprocessing.get_context("spawn")
    with redis_server() as server, worker(server.url, app="hanner_worker", env=env, ready=False) as running:
        running.wait_for("ready: model", timeout=300)
        shares = [(server.url, texts[number :: options.clients]) for number in range(options.clients)]
        with context.Pool(options.clients) as clients:
            clients.starmap(stream, [(url, share[:256]) for url, share in shares])  # every process places its weights
            rates, seen = [], []
            for _ in range(options.rounds):
                began = time.perf_counter()
                waiting = clients.starmap_async(stream, shares)
                while not waiting.ready():
                    seen += utilisation(options.device)
                    waiting.wait(0.5)
                assert sum(waiting.get()) == len(texts)
                rates.append(sum(map(len, texts)) / (time.perf_counter() - began))
        running.stop()
    return statistics.median(rates), f", GPU busy {statistics.mean(seen):.0f} % of the time" if seen else ""


def stream(url, texts) -> int:
    """Send texts and return how many were answered with entities."""
    with Client(settings=Settings(broker_url=url, timeout=300)) as ner:
        return sum(document.error is None for document in ner.stream(texts, window=2 * SLAB))


def utilisation(device) -> list[int]:
    if device == "cpu":
        return []
    number = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-i", number]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return [int(each) for each in said if each.isdigit()]


if __name__ == "__main__":
    main()
