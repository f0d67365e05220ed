"""Weights can be read from the graphs that were built from them."""

from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest

from hanner_inference.engine.base import Batch
from hanner_inference.package import MODEL
from hanner_models.conversion.graph import Fp32, build
from hanner_models.conversion.graph_reader import UnsupportedGraph, read_weights
from hanner_models.conversion.quantise import StaticInt8, TokenInt8, calibrate
from hanner_models.conversion.smoothquant import MIGRATION_STRENGTH, SmoothQuant, smooth
from support.encoders import SHAPE, VOCABULARY, WITH_BIGRAMS, WITH_RELU, random_weights


def folded(weights):
    """Return the weights as in a graph: the vector of token type 0 is included in the positions."""
    types = weights["embeddings.token_type_embeddings.weight"]
    positions = weights["embeddings.position_embeddings.weight"] + types[0]
    return weights | {
        "embeddings.position_embeddings.weight": positions,
        "embeddings.token_type_embeddings.weight": np.zeros_like(types[:1]),
    }


SAMPLE = Batch(np.random.default_rng(0).integers(1, VOCABULARY, (64, 20)), np.full(64, 20))


def static(weights, shape):
    return StaticInt8(calibrate(weights, shape, [SAMPLE]).ranges)


def smoothed(kind, weights, shape):
    factors, found = smooth(calibrate(weights, shape, [SAMPLE]), weights, shape, MIGRATION_STRENGTH[kind])
    return SmoothQuant(TokenInt8() if kind == "token" else StaticInt8(found.ranges), factors)


@pytest.mark.parametrize(
    ("linear", "tolerance"),
    [
        (lambda *_: Fp32(), 1e-6),
        (static, 0.02),
        (lambda *_: TokenInt8(), 0.02),
        (partial(smoothed, "smooth"), 0.06),
        (partial(smoothed, "token"), 0.05),
    ],
)
@pytest.mark.parametrize("shape", [SHAPE, WITH_BIGRAMS, WITH_RELU], ids=["plain", "bigrams", "relu"])
def test_weights_survive_a_round_trip(linear, tolerance, shape):
    weights = random_weights(shape=shape)
    found, found_shape = read_weights(build(weights, shape, linear(weights, shape)))
    assert found_shape == replace(shape, epsilon=pytest.approx(shape.epsilon))
    assert found.keys() == weights.keys()
    for name, value in folded(weights).items():
        np.testing.assert_allclose(
            found[name], value, rtol=0, atol=tolerance * np.abs(value).max() + 1e-7, err_msg=name
        )


def test_foreign_graph_is_rejected(tiny_package):
    with pytest.raises(UnsupportedGraph, match=r"has no constant embeddings\.positions"):
        read_weights(onnx.load(tiny_package / MODEL))
