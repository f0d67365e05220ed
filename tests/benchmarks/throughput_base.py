"""Compare characters per second on one core at BERT-base's size, texts to entities: hanner and alternatives.

    make bench-throughput [TEXTS=FILE.jsonl]

or, with your own environments,

    PYTHONPATH=tests python tests/benchmarks/throughput_base.py [TEXTS.jsonl] [--texts 128] [--rounds 5] [--core 0]
        [--modelscope PYTHON] [--openvino PYTHON] [--least 40] [--only NAME …]

TEXTS.jsonl has an object with `text` on each line (MSRA's for the figures in docs/explanation/engine.md). Without it
the built-in sentences are used. Each variant is a process (throughput_variants.py) in the environment it needs, bound
to the same core, with one thread. Variants alternate, one run per round, so that noise affects all equally; slow
variants get fewer texts, with evenly distributed lengths. Time is CPU time, which other load on the machine affects
less than wall-clock time. Prints medians, and the median over rounds of the speedup of hanner's default over each
variant. Exits with 1 if the speedup over ModelScope's pipeline is below --least.

- `onnx, grouped`: the default engine, with 128 texts grouped by length as in the worker;
- `onnx, smooth`, `onnx, token`: the same with the other two INT8 schemes, for models that static scales do not suit;
- `onnx, in order`: 32 texts per batch in their order, padded to the longest;
- `OpenVINO, grouped`: the same network, INT8 weights, activations quantised dynamically in groups of 128;
- `torch INT8, in order`: dynamic INT8, HANNER_ENGINE=torch, 32 texts per batch;
- `torch FP32, in order`: the same without quantisation;
- `ModelScope`: its own pipeline and model class, one text at a time, padded as in its configuration.
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

VARIANTS = Path(__file__).with_name("throughput_variants.py")
DEFAULT = "onnx, grouped"
MODELSCOPE = "ModelScope"
SPARSE = 16
"""ModelScope gets one in so many texts, PyTorch one in 2 to 4, because they are slow."""


def main() -> None:
    options = parse()
    texts = read_texts(options.file, options.texts)
    with ExitStack() as stack:
        variants = {name: stack.enter_context(each) for name, each in make_variants(options, texts).items()}
        for variant in variants.values():
            variant.wait()
        rates = {name: [] for name in variants}
        for number in range(options.rounds + 1):
            for name, variant in variants.items():
                rate = variant.run()
                if number:  # the first round is a warm-up
                    rates[name].append(rate)
            print(f"round {number} of {options.rounds}", file=sys.stderr)
        print(f"{len(texts)} texts of {sum(map(len, texts)) / len(texts):.0f} characters, {options.rounds} rounds")
        speedups = print_table(rates)
    if speedups.get(MODELSCOPE, options.least) < options.least:
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
    parser.add_argument(
        "--only", nargs="+", default=[], help="names of variants, or their beginnings; the default always runs"
    )
    return parser.parse_args()


def read_texts(file, count) -> list[str]:
    """Return `count` texts of the file in their order, evenly spaced."""
    texts = built_in_sentences()
    if file is not None:
        texts = [json.loads(line)["text"] for line in file.read_text("utf-8").splitlines()]
    return texts[:: max(1, len(texts) // count)][:count]


def make_variants(options, texts) -> dict[str, "Variant"]:
    """Return the selected variants whose environments are given, by name."""
    here, torch, openvino = Path(sys.executable), options.modelscope, options.openvino
    base_package(FOLDER)
    few = spread(texts, max(1, len(texts) // SPARSE))
    table = {
        DEFAULT: (here, texts, "onnx", FOLDER),
        "onnx, smooth": (here, texts, "onnx", FOLDER.with_name("bert-base-smooth")),
        "onnx, token": (here, texts, "onnx", FOLDER.with_name("bert-base-token")),
        "onnx, in order": (here, texts, "onnx-in-order", FOLDER),
        "OpenVINO, grouped": (openvino, texts, "openvino", FOLDER),
        "torch INT8, in order": (torch, texts[::2], "torch-int8", FOLDER),
        "torch FP32, in order": (torch, texts[::4], "torch-fp32", FOLDER),
        MODELSCOPE: (torch, few, "modelscope", FOLDER),
    }
    wanted = (DEFAULT, *options.only) if options.only else ("",)
    chosen = {name: each for name, each in table.items() if each[0] and name.startswith(wanted)}
    return {name: Variant(*each, options.core) for name, each in chosen.items()}


def spread(texts, count) -> list[str]:
    """Return `count` texts with evenly distributed lengths."""
    ordered = sorted(texts, key=len)
    return [ordered[int((n + 0.5) * len(ordered) / count)] for n in range(count)]


class Variant:
    """A process that runs a variant on the same texts each time."""

    def __init__(self, python, texts, name, package, core) -> None:
        self._command = [str(python), str(VARIANTS), name, str(package), str(core)]
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
        """Wait until the process is ready."""
        self._read_line()

    def run(self) -> float:
        """Return characters per second of CPU time."""
        self._process.stdin.write("run\n")
        result = self._read_line()
        return result["characters"] / result["seconds"]

    def _read_line(self):
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(self._command)} exited with {self._process.wait()}")
        return json.loads(line)


def print_table(rates) -> dict[str, float]:
    """Print the table; return the speedup of the default over each variant by name."""
    print(f"{'':<26} characters/s   default faster by")
    speedups = {}
    for name, each in rates.items():
        speedups[name] = statistics.median(default / other for default, other in zip(rates[DEFAULT], each, strict=True))
        print(f"{name:<26} {statistics.median(each):>12,.0f} {speedups[name]:>16.2f}x")
    return speedups


if __name__ == "__main__":
    main()
