"""Compare quantisation schemes of the encoder on one core: FP32, INT8 with static scales, INT8 with scales per token.

    PYTHONPATH=tests python tests/benchmarks/quantisation.py [--size default|base] [--rows 32] [--length 48]
        [--rounds 15]

The weights are random: they affect neither speed nor independence of the batch. The schemes alternate. Prints tokens
per second (median), the ratio to FP32, and the largest difference between a text's scores alone and in the batch.
"""

import argparse
import statistics
import time

import numpy as np
import onnxruntime

from hanner_inference.engine.base import Batch
from hanner_inference.engine.onnx import GRAPH_OPTIMISATION
from hanner_models.conversion.graph import Fp32, build
from hanner_models.conversion.quantise import StaticInt8, TokenInt8, calibrate
from hanner_models.source.architecture import EncoderShape
from support.encoders import random_weights

SIZES = {
    "default": (EncoderShape(layers=6, heads=4, max_length=256), 256, 1024, 7500),
    "base": (EncoderShape(layers=12, heads=12, max_length=512), 768, 3072, 21128),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="default")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    shape, hidden, inner, vocabulary = SIZES[options.size]
    weights = random_weights(shape=shape, hidden=hidden, inner=inner, vocabulary=vocabulary)
    rng = np.random.default_rng(0)
    batch = random_batch(rng, options.rows, options.length, vocabulary)
    ranges = calibrate(weights, shape, [random_batch(rng, 8, options.length, vocabulary) for _ in range(2)]).ranges
    schemes = {
        "FP32": Fp32(),
        "INT8, static, 7-bit weights": StaticInt8(ranges),
        "INT8, static, 8-bit weights": StaticInt8(ranges, 127),
        "INT8, per token": TokenInt8(),
    }
    sessions = {
        name: open_session(build(weights, shape, linear).SerializeToString()) for name, linear in schemes.items()
    }
    times = {name: [] for name in schemes}
    for _ in range(options.rounds):
        for name, session in sessions.items():
            started = time.perf_counter()
            run(session, batch)
            times[name].append(time.perf_counter() - started)
    tokens = int(batch.lengths.sum())
    reference = statistics.median(times["FP32"])
    description = f"{options.size} size, {options.rows} x {options.length} tokens"
    print(f"{description}, one core, ONNX Runtime {onnxruntime.__version__}")
    print(f"{'':<30} tokens/s   ratio   alone against batched")
    for name, session in sessions.items():
        median = statistics.median(times[name])
        print(f"{name:<30} {tokens / median:>8,.0f} {reference / median:>7.2f}   {batch_effect(session, batch):.1e}")


def random_batch(rng, rows, length, vocabulary) -> Batch:
    lengths = rng.integers(max(3, length - length // 5), length + 1, rows)
    lengths[0] = length
    ids = rng.integers(1, vocabulary, (rows, length))
    return Batch(np.where(np.arange(length) < lengths[:, None], ids, 0), lengths)


def open_session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = GRAPH_OPTIMISATION
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(session, batch):
    mask = (np.arange(batch.input_ids.shape[1]) < batch.lengths[:, None]).astype(np.int64)
    return session.run(["logits"], {"input_ids": batch.input_ids, "attention_mask": mask})[0]


def batch_effect(session, batch) -> float:
    """Return the largest difference between the scores of a text alone and in the batch."""
    together = run(session, batch)
    return max(
        float(
            np.abs(run(session, Batch(batch.input_ids[row : row + 1, :n], np.array([n])))[0] - together[row, :n]).max()
        )
        for row, n in enumerate(batch.lengths)
    )


if __name__ == "__main__":
    main()
