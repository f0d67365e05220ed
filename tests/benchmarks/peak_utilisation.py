"""Measure how much of the processor's peak rate the engine uses.

    PYTHONPATH=tests python tests/benchmarks/peak_utilisation.py [TEXTS.jsonl] [--texts 256] [--rounds 5] [--core 0]

TEXTS.jsonl has an object with `text` on each line; the default is the built-in sentences. One core, one thread, CPU
time. The peak is the rate of a single INT8 product in ONNX Runtime, 512 x 1,024 x 1,024. Prints for each size:
operations per second in INT8 products and their share of the peak; texts and characters per second from texts to
entities; the share of the engine's time per operator. The models alternate. Also prints how many times as fast as base
size each bundled model is. Each operator's time is the least of several runs, so that other load hardly changes it.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from hanner_inference import load
from hanner_inference.engine import onnx as engine
from hanner_inference.package import MODEL, bundled_models, open_package
from hanner_inference.pipeline import Recogniser
from hanner_models.conversion.calibration_data import built_in_sentences
from hanner_models.conversion.graph import CONTRIB
from hanner_models.data.datasets import sample_texts
from hanner_models.source.architecture import CHARACTER_LAYER
from support.base_package import base_package

PRODUCT = "MatMulIntegerToFloat"
BASE = "base size"
PROFILED = 5
"""Runs of each input with the profiler."""
MIN_SHARE = 0.005
"""Operators with a smaller share of the time are summed up."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, default=0)
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    texts = sample_texts(options.file, options.texts) if options.file else built_in_sentences()
    characters = sum(map(len, texts))
    sizes = {BASE: Size(base_package(), texts)} | {name: Size(name, texts) for name in bundled_models()}
    peak = measure_product_rate()
    for number in range(options.rounds + 1):
        for size in sizes.values():
            size.run(record=number > 0)  # the first round is a warm-up
    print(
        f"{len(texts)} texts of {characters / len(texts):.0f} characters; single INT8 product {peak / 1e9:.0f} GOP/s\n"
    )
    for name, size in sizes.items():
        size.show(name, peak)
    for name in bundled_models():
        ratios = [a / b for a, b in zip(sizes[name].rates, sizes[BASE].rates, strict=True)]
        print(f"{name}: {statistics.median(ratios):.1f} times as fast ({min(ratios):.1f} to {max(ratios):.1f})")


class Size:
    """One package, with its rates and the profile of its engine."""

    def __init__(self, package, texts) -> None:
        self.texts, self.ner = texts, load(package)
        self.path = self.ner.package.path / MODEL
        graph = onnx.load(self.path).graph
        weights = {each.name: each.dims for each in graph.initializer}
        products = [node for node in graph.node if node.op_type == PRODUCT]
        self.feeds = record_feeds(self.path.parent, texts)
        self.tokens = self.count_units("attention_mask")
        characters = self.count_units("character_mask")
        total = 0
        for node in products:
            rows, columns = weights[node.input[1]]
            total += 2 * rows * columns * (characters if node.name.startswith(f"{CHARACTER_LAYER}.") else self.tokens)
        self.operations = total / self.tokens
        self.session = onnxruntime.InferenceSession(self.path, engine._session_options())
        self.rates, self.engine_rates = [], []

    def count_units(self, mask) -> int:
        """Return the number of tokens or characters that are not padding in all runs."""
        return sum(int(feed[mask].sum()) for feed in self.feeds if mask in feed)

    def run(self, *, record) -> None:
        """Measure the whole pipeline, and the engine alone."""
        started = time.process_time()
        self.ner.extract(self.texts)
        whole = time.process_time()
        for feed in self.feeds:
            self.session.run(["logits"], feed)
        if record:
            self.rates.append(len(self.texts) / (whole - started))
            self.engine_rates.append(self.tokens / (time.process_time() - whole))

    def show(self, name, peak) -> None:
        """Print the rates and the profile."""
        tokens, texts = statistics.median(self.engine_rates), statistics.median(self.rates)
        characters = texts * sum(map(len, self.texts)) / len(self.texts)
        rate = tokens * self.operations
        print(f"{name}: engine {tokens:,.0f} tokens/s, {self.operations / 1e6:.1f} M operations per token in products")
        print(f"  {rate / 1e9:.0f} GOP/s, {rate / peak:.0%} of the single product")
        print(f"  texts to entities: {texts:,.0f} texts/s, {characters:,.0f} characters/s")
        shares = self.profile()
        small = sum(share for share in shares.values() if share < MIN_SHARE)
        for operator, share in [each for each in shares.most_common() if each[1] >= MIN_SHARE] + [("others", small)]:
            print(f"    {operator:24}{share:6.1%}")
        print()

    def profile(self) -> Counter:
        """Return the share of each operator in the time of all operators."""
        with tempfile.TemporaryDirectory() as scratch:
            options = engine._session_options()
            options.enable_profiling, options.profile_file_prefix = True, f"{scratch}/profile"
            session = onnxruntime.InferenceSession(self.path, options)
            for feed in self.feeds * PROFILED:
                session.run(["logits"], feed)
            events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
        nodes = [event for event in events if event["name"].endswith("_kernel_time")]
        stride = len(nodes) // PROFILED
        spent = Counter()
        for same in (nodes[start::stride] for start in range(stride)):
            spent[same[0]["args"]["op_name"]] += min(event["dur"] for event in same)
        return Counter({name: value / spent.total() for name, value in spent.items()})


def record_feeds(folder, texts):
    """Return the inputs of the engine's session for these texts."""
    feeds = []

    class RecordingEngine(engine.OnnxEngine):
        def _scores(self, batch):
            feeds.append({name: value.copy() for name, value in engine.graph_inputs(batch).items()})
            return super()._scores(batch)

    package = open_package(folder)
    Recogniser(package, RecordingEngine(package)).extract(texts)
    return feeds


def measure_product_rate(rows=512, inner=1024, columns=1024, rounds=30) -> float:
    """Return operations per second of a single INT8 product."""
    rng = np.random.default_rng(0)
    constants = {
        "weight": rng.integers(-63, 64, (inner, columns), dtype=np.int8),
        "scale": np.float32(0.01),
        "scales": np.full(columns, 0.01, dtype=np.float32),
        "zero": np.uint8(128),
        "weights.zero": np.int8(0),
    }
    node = helper.make_node(
        PRODUCT, ["source", "weight", "scale", "scales", "zero", "weights.zero"], ["out"], domain=CONTRIB
    )
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("source", TensorProto.UINT8, [rows, inner])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [rows, columns])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), engine._session_options())
    source = rng.integers(0, 256, (rows, inner), dtype=np.uint8)
    seconds = []
    for _ in range(rounds):
        started = time.process_time()
        session.run(None, {"source": source})
        seconds.append(time.process_time() - started)
    return 2 * rows * inner * columns / statistics.median(seconds)


if __name__ == "__main__":
    main()
