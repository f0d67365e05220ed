"""What a graph was built from can be read back out of it."""

from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest

from hanner_inference.engine.base import Batch
from hanner_inference.package import MODEL
from hanner_models.conversion.graph import Float, build
from hanner_models.conversion.graph_reader import UnsupportedGraph, read_weights
from hanner_models.conversion.quantise import StaticInt8, TokenInt8, calibrate
from hanner_models.conversion.smoothquant import SMOOTHING, Smooth, calibrate_smooth
from support.encoders import SHAPE, VOCABULARY, WITH_BIGRAMS, WITH_RELU, random_weights


def folded(weights):
    """The weights as a graph has them: the vector of token type 0 is in the positions."""
    types = weights["embeddings.token_type_embeddings.weight"]
    positions = weights["embeddings.position_embeddings.weight"] + types[0]
    return weights | {
        "embeddings.position_embeddings.weight": positions,
        "embeddings.token_type_embeddings.weight": np.zeros_like(types[:1]),
    }


SAMPLE = Batch(np.random.default_rng(0).integers(1, VOCABULARY, (64, 20)), np.full(64, 20))


def static(weights, shape):
    return StaticInt8(calibrate(weights, shape, [SAMPLE]))


def smooth(kind, weights, shape):
    found = calibrate_smooth(weights, shape, [SAMPLE], strength=SMOOTHING[kind])
    return Smooth(TokenInt8() if kind == "token" else StaticInt8(found.ranges), found.factors)


@pytest.mark.parametrize(
    ("linear", "exact"),
    [
        (lambda *_: Float(), 1e-6),
        (static, 0.02),
        (lambda *_: TokenInt8(), 0.02),
        (partial(smooth, "smooth"), 0.06),
        (partial(smooth, "token"), 0.05),
    ],
)
@pytest.mark.parametrize("shape", [SHAPE, WITH_BIGRAMS, WITH_RELU], ids=["plain", "bigrams", "relu"])
def test_the_weights_come_back(linear, exact, shape):
    weights = random_weights(shape=shape)
    found, back = read_weights(build(weights, shape, linear(weights, shape)))
    assert back == replace(shape, epsilon=pytest.approx(shape.epsilon))
    assert found.keys() == weights.keys()
    for name, value in folded(weights).items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=exact * np.abs(value).max() + 1e-7, err_msg=name)


def test_a_graph_of_another_hand_is_refused(tiny_package):
    with pytest.raises(UnsupportedGraph, match=r"has no constant embeddings\.positions"):
        read_weights(onnx.load(tiny_package / MODEL))
