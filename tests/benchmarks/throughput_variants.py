"""Run one variant of throughput_base.py in a process of its own.

    python throughput_variants.py NAME PACKAGE CORE

Standard input has a JSON list of texts, then a line `run` per run. Standard output has one JSON object per line: an
empty one when the variant is ready, then characters and seconds of CPU time of each run. Each variant imports only what
it needs, because the variants run in different environments.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from hanner_inference.engine.base import Batch
from hanner_inference.package import MODEL, open_package
from hanner_inference.pipeline import Recogniser
from hanner_models.conversion.smoothquant import MIGRATION_STRENGTHS
from support.base_package import BASE, base_package, bert_tokenizer, cached_folder, make_linear, random_tagger
from support.packages import BIO

IN_ORDER = {"batch_texts": 32, "batch_tokens": 10**6, "max_padding": 0.999}
"""Batches of 32 texts in their order, padded to the longest."""


def main() -> None:
    name, path, core = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print to stdout
    texts = json.loads(sys.stdin.readline())
    run = VARIANTS[name](Path(path), texts)
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), {int(core)})
    print("{}", file=out, flush=True)
    for _ in sys.stdin:
        started = time.process_time()
        run()
        seconds = time.process_time() - started
        print(json.dumps({"characters": sum(map(len, texts)), "seconds": seconds}), file=out, flush=True)


def onnx(path, texts):
    from hanner_inference.engine.onnx import OnnxEngine

    scheme = path.name.removeprefix("bert-base-")
    package = open_package(base_package(path, scheme) if scheme in MIGRATION_STRENGTHS else path)
    return run_grouped(Recogniser(package, OnnxEngine(package)), texts)


def onnx_in_order(path, texts):
    from hanner_inference.engine.onnx import OnnxEngine

    package = open_package(path)
    return run_in_order(Recogniser(package, OnnxEngine(package), **IN_ORDER), texts)


def openvino(path, texts):
    package = open_package(path)
    return run_grouped(Recogniser(package, OpenVino(path.with_name("bert-base-openvino"))), texts)


def torch_int8(path, texts):
    from hanner_models.conversion.torch_engine import TorchEngine

    package = open_package(path)
    return run_in_order(Recogniser(package, TorchEngine(package, device="cpu"), **IN_ORDER), texts)


def torch_fp32(path, texts):
    package = open_package(path)
    return run_in_order(Recogniser(package, TorchFp32(package), **IN_ORDER), texts)


def modelscope(path, texts):
    from support.modelscope_folders import open_pipeline

    extract = open_pipeline(cached_folder(path.with_name("bert-base-modelscope"), write_checkpoint))
    return lambda: [extract(text) for text in texts]


VARIANTS = {
    "onnx": onnx,
    "onnx-in-order": onnx_in_order,
    "openvino": openvino,
    "torch-int8": torch_int8,
    "torch-fp32": torch_fp32,
    "modelscope": modelscope,
}


def run_grouped(recogniser, texts, count=128):
    """Return a function that runs `count` texts at a time, which the recogniser groups by length."""
    return lambda: [recogniser.run(texts[start : start + count]) for start in range(0, len(texts), count)]


def run_in_order(recogniser, texts):
    return run_grouped(recogniser, texts, 32)


class TorchFp32:
    """The engine in FP32 with PyTorch."""

    def __init__(self, package):
        import onnx
        import torch

        from hanner_models.conversion.graph_reader import read_weights
        from hanner_models.conversion.torch_model import build_network, infer

        torch.set_num_threads(1)
        self._infer = infer
        self._network = build_network(*read_weights(onnx.load_model_from_string(package.read(MODEL))))

    def run(self, batch):
        return self._infer(self._network, batch).numpy()


class OpenVino:
    """The engine with OpenVINO: INT8 weights, activations quantised dynamically in groups of 128 channels."""

    def __init__(self, folder):
        import openvino as ov

        settings = {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 128,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        model = cached_folder(folder, write_openvino) / "model.xml"
        self._request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()

    def run(self, batch: Batch):
        mask = (np.arange(batch.input_ids.shape[1]) < batch.lengths[:, None]).astype(np.int64)
        return self._request.infer({"input_ids": batch.input_ids, "attention_mask": mask})["logits"].copy()


def write_openvino(folder):
    """Convert the FP32 graph to OpenVINO with INT8 weights. It takes a minute, so the result is cached."""
    import nncf
    import openvino as ov

    from hanner_models.conversion.graph import build

    folder.mkdir(parents=True)
    weights = random_tagger(BASE).weights
    graph = folder / "fp32.onnx"
    graph.write_bytes(build(weights, BASE.shape, make_linear(weights, BASE, "fp32")).SerializeToString())
    ov.save_model(nncf.compress_weights(ov.convert_model(graph)), folder / "model.xml", compress_to_fp16=False)
    graph.unlink()


def write_checkpoint(folder):
    """Write a checkpoint of the same size with ModelScope's own class and random weights."""
    from support.modelscope_folders import write_folder, write_weights

    tokens = bert_tokenizer(BASE.vocabulary).get_vocab()
    sizes = {"hidden_size": BASE.hidden, "intermediate_size": BASE.inner, "initializer_range": 0.02}
    heads = {"num_hidden_layers": BASE.shape.layers, "num_attention_heads": BASE.shape.heads}
    write_weights(write_folder(folder, sorted(tokens, key=tokens.get), labels=BIO, **sizes, **heads))


if __name__ == "__main__":
    main()
