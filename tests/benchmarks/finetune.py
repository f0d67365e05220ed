"""Measure fine-tuning of the bundled model on 500 microblogs: F1 before and after, and the time it takes.

    python tests/benchmarks/finetune.py DATA [--methods full lora] [--seeds 1 2 3] [--sentences 500] [--base default]
        [--epochs N] [--learning-rate R] [--blend SHARE]

DATA is a folder with weibo.train.jsonl, weibo.dev.jsonl and msra.dev.jsonl. For each method and seed, sentences are
sampled from the training file, `hanner model finetune` runs with its defaults and `--hold-out 0`, and the INT8 package
is evaluated. Dev files are not used for choosing weights. weibo.dev has 167 names, so one name is 0.006 of F1:
compare the means over the seeds. msra.dev shows what the model forgets about news. Seconds are wall-clock time and CPU
time of the whole command: reading, training, quantising, verifying. Needs `hanner[models]`.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))

from hanner_inference import load
from hanner_models.conversion.base_model import DEFAULT
from hanner_models.conversion.verify import MIN_AGREEMENT
from hanner_models.data.datasets import read_sentences
from hanner_models.evaluation.evaluate import evaluate
from hanner_models.finetune.options import FinetuneOptions
from hanner_models.finetune.run import FinetuneRun

DEV = ("weibo.dev.jsonl", "msra.dev.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--methods", nargs="+", choices=("full", "lora"), default=["full", "lora"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--sentences", type=int, default=500)
    parser.add_argument("--base", default=DEFAULT)
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--blend", type=float, default=FinetuneOptions.blend)
    options = parser.parse_args()
    dev = {name: read_sentences(options.data / name) for name in DEV}
    before = evaluate_all(None if options.base == DEFAULT else options.base, dev)
    print(f"{'':8}{'seed':>5}{'clock':>8}{'CPU':>8}{'as FP32':>9}  " + "  ".join(f"{name:>16}" for name in DEV))
    print(f"{'before':30}{'':8}  " + "  ".join(f"{before[name]:16.4f}" for name in DEV), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for method in options.methods:
            after = [run(options, method, seed, dev, Path(scratch)) for seed in options.seeds]
            means = {name: statistics.mean(figures[name] for figures in after) for name in DEV}
            print(f"{method + ', mean':30}{'':8}  " + "  ".join(f"{means[name]:16.4f}" for name in DEV))
            gains = (f"{means[name] - before[name]:+16.4f}" for name in DEV)
            print(f"{'difference':30}{'':8}  " + "  ".join(gains), flush=True)


def run(options, method, seed, dev, scratch):
    lines = (options.data / "weibo.train.jsonl").read_text("utf-8").splitlines()
    sample = scratch / f"{method}.{seed}.jsonl"
    sample.write_text("\n".join(random.Random(seed).sample(lines, options.sentences)) + "\n", "utf-8")
    clock, cpu = time.perf_counter(), time.process_time()
    tuning = FinetuneOptions(
        method == "lora", options.epochs, learning_rate=options.learning_rate, blend=options.blend, seed=seed
    )
    result = FinetuneRun(options.base, sample, scratch / f"{method}-{seed}", tuning, hold_out=0).run()
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    agreement = result.package.manifest.verification["built-in sentences"]["tag_agreement"]
    assert agreement >= MIN_AGREEMENT
    figures = evaluate_all(result.package.path, dev)
    shown = "  ".join(f"{figures[name]:16.4f}" for name in DEV)
    print(f"{method:8}{seed:5}{clock:7.0f}s{cpu:7.0f}s{agreement:9.2%}  {shown}", flush=True)
    return figures


def evaluate_all(package, dev):
    extract = load(package).extract
    return {name: evaluate(extract, sentences).total.f1 for name, sentences in dev.items()}


if __name__ == "__main__":
    main()
