"""Characters per second on one core at BERT-base's size, texts to entities: hanner and what it replaces, in one run.

    make bench-throughput [TEXTS=FILE.jsonl]

or, with environments of your own,

    PYTHONPATH=tests python tests/benchmarks/throughput_base.py [TEXTS.jsonl] [--texts 128] [--rounds 5] [--core 0]
        [--modelscope PYTHON] [--openvino PYTHON] [--least 40] [--only NAME …]

TEXTS.jsonl has an object with `text` on each line (MSRA's for the figures in docs/explanation/engine.md). Without it
the built-in sentences are used. Each way is a process of its own (way.py), in the environment it needs, and all are
bound to the same core. They take turns, one run each a round, so that noise hits all alike; slow ways get fewer texts,
spread evenly over the lengths. Time is the process's CPU time, which other work on the machine lengthens less than it
does the clock's; everything has one thread. Prints medians, and the median over rounds of how many times faster
hanner's default is than each. Exits 1 when that is under --least for ModelScope's pipeline.

- `onnx, in our batches`: the default engine, texts grouped by length out of 128 waiting ones as the worker does;
- `… smoothed`, `… by token`: the same with the other two INT8 schemes, for models that static scales do not suit;
- `onnx, as they come`: 32 texts as they come, padded to the longest;
- `OpenVINO`: the same network, INT8 weights, activations quantised in groups of 128 on the way, in our batches;
- `torch INT8`: the textbook recipe, HANNER_ENGINE=torch, 32 texts as they come;
- `torch FP32`: the same without quantisation;
- `ModelScope`: its own pipeline with its own model class, one text at a time, as its configuration pads it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from hanner_models.conversion.calibration_data import built_in_sentences
from support.base_package import FOLDER, base_package

WAY = Path(__file__).with_name("way.py")
OURS = "onnx, in our batches"
MODELSCOPE = "ModelScope, one by one"
SPARSE = 16
"""One text in so many is given to ModelScope, one in 2 to 4 to PyTorch: they are slow."""


def main() -> None:
    options = parse()
    texts = read_texts(options.file, options.texts)
    with ExitStack() as stack:
        ways = {name: stack.enter_context(way) for name, way in make_ways(options, texts).items()}
        for way in ways.values():
            way.wait()
        rates = {name: [] for name in ways}
        for number in range(options.rounds + 1):
            for name, way in ways.items():
                rate = way.run()
                if number:  # the first round warms up
                    rates[name].append(rate)
            print(f"round {number} of {options.rounds}", file=sys.stderr)
        print(f"{len(texts)} texts of {sum(map(len, texts)) / len(texts):.0f} characters, {options.rounds} rounds")
        faster = show(rates)
    if faster.get(MODELSCOPE, options.least) < options.least:
        sys.exit(f"less than {options.least:g} times ModelScope's pipeline")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--texts", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--modelscope", type=Path, help="Python with modelscope[framework], transformers<5 and hanner")
    parser.add_argument("--openvino", type=Path, help="Python with openvino, nncf, onnx and hanner[worker]")
    parser.add_argument("--least", type=float, default=40.0)
    parser.add_argument("--only", nargs="+", default=[], help="names of ways, or how they begin; ours is always there")
    return parser.parse_args()


def read_texts(file, count) -> list[str]:
    """Return so many texts in the file's order, spread over it."""
    texts = built_in_sentences()
    if file is not None:
        texts = [json.loads(line)["text"] for line in file.read_text("utf-8").splitlines()]
    return texts[:: max(1, len(texts) // count)][:count]


def make_ways(options, texts) -> dict[str, "Way"]:
    """Return the ways that are asked for and whose environments are given, by name."""
    here, torch, openvino = Path(sys.executable), options.modelscope, options.openvino
    base_package(FOLDER)
    few = spread(texts, max(1, len(texts) // SPARSE))
    table = {
        OURS: (here, texts, "onnx", FOLDER),
        "onnx, smoothed": (here, texts, "onnx", FOLDER.with_name("base-smooth")),
        "onnx, by token": (here, texts, "onnx", FOLDER.with_name("base-token")),
        "onnx, as they come": (here, texts, "onnx-arrival", FOLDER),
        "OpenVINO, in our batches": (openvino, texts, "openvino", FOLDER),
        "torch INT8, as they come": (torch, texts[::2], "torch-int8", FOLDER),
        "torch FP32, as they come": (torch, texts[::4], "torch-fp32", FOLDER),
        MODELSCOPE: (torch, few, "modelscope", FOLDER),
    }
    wanted = (OURS, *options.only) if options.only else ("",)
    chosen = {name: way for name, way in table.items() if way[0] and name.startswith(wanted)}
    return {name: Way(*way, options.core) for name, way in chosen.items()}


def spread(texts, count) -> list[str]:
    """Return so many texts, one from the middle of each equal part of their lengths."""
    ordered = sorted(texts, key=len)
    return [ordered[int((n + 0.5) * len(ordered) / count)] for n in range(count)]


class Way:
    """A process that works on the same texts each time it is told to."""

    def __init__(self, python, texts, name, package, core) -> None:
        self._command = [str(python), str(WAY), name, str(package), str(core)]
        self._texts = texts

    def __enter__(self):
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            self._command,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path, "MODELSCOPE_LOG_LEVEL": "40"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._process.stdin.write(json.dumps(self._texts) + "\n")
        self._process.stdin.flush()
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def wait(self) -> None:
        """Wait until it is ready."""
        self._answer()

    def run(self) -> float:
        """Return characters per second of CPU time."""
        self._process.stdin.write("run\n")
        answer = self._answer()
        return answer["characters"] / answer["seconds"]

    def _answer(self):
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(self._command)} ended with {self._process.wait()}")
        return json.loads(line)


def show(rates) -> dict[str, float]:
    """Print the table; return by name how many times faster ours is."""
    print(f"{'':<26} characters/s   ours is faster by")
    faster = {}
    for name, each in rates.items():
        faster[name] = statistics.median(ours / other for ours, other in zip(rates[OURS], each, strict=True))
        print(f"{name:<26} {statistics.median(each):>12,.0f} {faster[name]:>16.2f}x")
    return faster


if __name__ == "__main__":
    main()
