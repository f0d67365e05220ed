"""Weights can be read from the graphs that were built from them."""

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest

from hanner_inference.engine.base import Batch, CharacterBatch
from hanner_inference.package import MODEL
from hanner_inference.tokenization.pieces import PLACES
from hanner_models.conversion.graph import Fp32, build
from hanner_models.conversion.graph_reader import UnsupportedGraph, read_weights
from hanner_models.conversion.quantise import StaticInt8, TokenInt8, calibrate
from hanner_models.conversion.smoothquant import SmoothQuant, smooth
from support.encoders import SHAPE, VOCABULARY, WITH_BIGRAMS, WITH_CHARACTERS, WITH_RELU, random_weights


def folded(weights):
    """Return the weights as in a graph: the vector of token type 0 is included in the positions."""
    types = weights["embeddings.token_type_embeddings.weight"]
    positions = weights["embeddings.position_embeddings.weight"] + types[0]
    return weights | {
        "embeddings.position_embeddings.weight": positions,
        "embeddings.token_type_embeddings.weight": np.zeros_like(types[:1]),
    }


def joined(weights, shape):
    """Return the weights with the products of two layers between which factors cancel out: V, or one before a ReLU."""
    weights = dict(weights)
    pairs = [("attention.self.value", "attention.output.dense")]
    pairs += [("intermediate.dense", "output.dense")] if shape.activation == "relu" else []
    for layer, (before, after) in itertools.product(shape.layer_inputs(), pairs):
        second = weights.pop(f"{layer}.{after}.weight")
        for part in ("weight", "bias"):
            name = f"{layer}.{before}.{part}"
            weights[name] = second * weights[name].T[..., None, :]
    return weights


RANDOM = np.random.default_rng(0)
CHARACTERS = CharacterBatch(
    RANDOM.integers(2, VOCABULARY, (64, 25)),
    RANDOM.integers(1, 19, (64, 25)),
    RANDOM.integers(0, PLACES, (64, 25)),
    np.full(64, 25),
)
SAMPLE = Batch(RANDOM.integers(1, VOCABULARY, (64, 20)), np.full(64, 20))
STRENGTH = {"smooth": 0.7, "token": 0.5}
"""Any strength can be read; a larger one makes the steps of the weights larger."""
SHAPES = {"plain": SHAPE, "bigrams": WITH_BIGRAMS, "relu": WITH_RELU, "characters": WITH_CHARACTERS}


def calibration(weights, shape):
    return calibrate(weights, shape, [replace(SAMPLE, characters=CHARACTERS if shape.characters else None)])


def static(weights, shape):
    return StaticInt8(calibration(weights, shape).ranges)


def smoothed(kind, weights, shape):
    factors, found = smooth(calibration(weights, shape), weights, shape, STRENGTH[kind])
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
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_weights_survive_a_round_trip(linear, tolerance, shape):
    weights = random_weights(shape=shape)
    found, found_shape = read_weights(build(weights, shape, linear(weights, shape)))
    assert found_shape == replace(shape, epsilon=pytest.approx(shape.epsilon))
    assert found.keys() == weights.keys()
    weights, found = (joined(folded(each), shape) for each in (weights, found))
    for name, value in weights.items():
        np.testing.assert_allclose(
            found[name], value, rtol=0, atol=tolerance * np.abs(value).max() + 1e-7, err_msg=name
        )


def test_foreign_graph_is_rejected(tiny_package):
    with pytest.raises(UnsupportedGraph, match=r"has no constant embeddings\.positions"):
        read_weights(onnx.load(tiny_package / MODEL))
