"""Characters per second on one core at BERT-base's size: the default engine against PyTorch's ways, in one run.

    PYTHONPATH=tests python tests/benchmarks/throughput_base.py TEXTS.jsonl [--texts 256] [--rounds 5] [--openvino]

Needs `nerq[models]` (PyTorch). TEXTS.jsonl has an object with `text` on each line; MSRA's are what the figures in
docs/engine.md are from. All ways take turns on the same texts, so that they see the same machine; each tokenises,
infers and decodes. Time is the process's CPU time, which other work on the machine lengthens less than it does the
clock's; everything has one thread. Prints medians and the ratio of the default engine to each.

- `onnx, our batches`: grouped by length out of 128 waiting texts, as the worker does with its defaults;
- `onnx, arrival order`: 32 texts as they come, padded to the longest;
- `torch-int8, arrival order`: the textbook recipe, NERQ_ENGINE=torch, the same batches;
- `torch FP32, arrival order`: the same without quantisation;
- `torch FP32, alone, 512`: one text at a time, padded to 512 tokens: the forward pass as ModelScope's pipeline does it,
  without what the pipeline adds. On an eighth of the texts;
- `OpenVINO`, with --openvino and `pip install openvino nncf`: the same network with INT8 weights, in our batches.
  Activations are quantised in groups of 128 on the way. Preparing it takes a minute.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnx
import torch

from nerq_models.torch_engine import TorchEngine, build_network, infer
from nerq_models.unbuild import read_weights
from nerq_worker.engine.base import Batch
from nerq_worker.engine.onnx import OnnxEngine
from nerq_worker.pipeline import Recogniser
from nerq_worker.store import MODEL, open_package
from support.base_package import FOLDER, base_package

WAITING = 128
ALONE = 8
"""One in so many texts is run alone: that way is slow."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--package", type=Path, default=FOLDER)
    parser.add_argument("--openvino", action="store_true")
    options = parser.parse_args()
    lines = options.file.read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines[:: max(1, len(lines) // options.texts)]][: options.texts]
    ways = make_ways(open_package(base_package(options.package)), openvino=options.openvino)
    rates = {name: [] for name in ways}
    for number in range(options.rounds + 1):
        for name, (recogniser, slab, share) in ways.items():
            rate = characters_per_second(recogniser, texts[::share], slab)
            if number:  # the first round warms up
                rates[name].append(rate)
    print(
        f"{len(texts)} texts of {sum(map(len, texts)) / len(texts):.0f} characters, {options.rounds} rounds, one core"
    )
    print(f"{'':<28} characters/s   ours is faster by")
    ours = statistics.median(rates["onnx, our batches"])
    for name, each in rates.items():
        median = statistics.median(each)
        print(f"{name:<28} {median:>12,.0f} {ours / median:>16.1f}x")


def make_ways(package, *, openvino):
    """Return by name: a recogniser, how many texts it is given at once, and one text in how many it gets."""
    reference = TorchEngine(package, device="cpu")  # first, for it sets PyTorch's threads
    network = build_network(*read_weights(onnx.load_model_from_string(package.read(MODEL))))
    arrival = {"batch_texts": 32, "batch_tokens": 10**6, "max_padding": 0.999}
    ways = {
        "onnx, our batches": (Recogniser(package, OnnxEngine(package)), WAITING, 1),
        "onnx, arrival order": (Recogniser(package, OnnxEngine(package), **arrival), 32, 1),
        "torch-int8, arrival order": (Recogniser(package, reference, **arrival), 32, 1),
        "torch FP32, arrival order": (Recogniser(package, Plain(network), **arrival), 32, 1),
        "torch FP32, alone, 512": (Recogniser(package, Padded(network), **arrival), 1, ALONE),
    }
    if openvino:
        ways["OpenVINO, our batches"] = (Recogniser(package, OpenVino(network)), WAITING, 1)
    return ways


class Plain:
    """PyTorch in FP32."""

    def __init__(self, network):
        self._network = network

    def run(self, batch):
        with torch.inference_mode():
            return infer(self._network, batch).numpy()


class Padded(Plain):
    """The same, every batch padded to 512 tokens."""

    def run(self, batch):
        ids = np.zeros((len(batch.lengths), 512), dtype=np.int64)
        ids[:, : batch.input_ids.shape[1]] = batch.input_ids
        return super().run(Batch(ids, batch.lengths))[:, : batch.input_ids.shape[1]]


class OpenVino:
    """OpenVINO's CPU plugin: INT8 weights, activations quantised on the way."""

    def __init__(self, network):
        import nncf  # noqa: PLC0415 - optional, and only here
        import openvino  # noqa: PLC0415

        example = {"ids": torch.ones(2, 8, dtype=torch.long), "mask": torch.ones(2, 8, dtype=torch.long)}
        model = nncf.compress_weights(openvino.convert_model(Traced(network), example_input=example))
        settings = {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 128,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def run(self, batch):
        mask = (np.arange(batch.input_ids.shape[1]) < batch.lengths[:, None]).astype(np.int64)
        return self._request.infer([batch.input_ids, mask])[0].copy()


class Traced(torch.nn.Module):
    """Encoder and head as one module with two tensors as input."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, ids, mask):
        states = self.network["encoder"](input_ids=ids, attention_mask=mask).last_hidden_state
        return self.network["linear"](states)


def characters_per_second(recogniser, texts, slab) -> float:
    began = time.process_time()
    for start in range(0, len(texts), slab):
        recogniser.run(texts[start : start + slab])
    return sum(map(len, texts)) / (time.process_time() - began)


if __name__ == "__main__":
    main()
