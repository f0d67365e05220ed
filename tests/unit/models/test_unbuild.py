"""What a graph was built from can be read back out of it."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from nerq_models.graph import Float, build
from nerq_models.quantise import StaticInt8, TokenInt8, calibrate
from nerq_models.unbuild import NotOurs, read_weights
from nerq_worker.engine.base import Batch
from nerq_worker.store import MODEL
from support.encoders import SHAPE, VOCABULARY, WITH_BIGRAMS, random_weights


def folded(weights):
    """The weights as a graph has them: the vector of token type 0 is in the positions."""
    types = weights["embeddings.token_type_embeddings.weight"]
    positions = weights["embeddings.position_embeddings.weight"] + types[0]
    return weights | {
        "embeddings.position_embeddings.weight": positions,
        "embeddings.token_type_embeddings.weight": np.zeros_like(types[:1]),
    }


def static(weights, shape):
    ids = np.arange(20).reshape(1, 20) % VOCABULARY
    return StaticInt8(calibrate(weights, shape, [Batch(ids, np.array([20]))]))


@pytest.mark.parametrize(
    ("linear", "exact"), [(lambda *_: Float(), 1e-6), (static, 0.02), (lambda *_: TokenInt8(), 0.02)]
)
@pytest.mark.parametrize("shape", [SHAPE, WITH_BIGRAMS], ids=["plain", "bigrams"])
def test_the_weights_come_back(linear, exact, shape):
    weights = random_weights(shape=shape)
    found, back = read_weights(build(weights, shape, linear(weights, shape)))
    assert back == replace(shape, epsilon=pytest.approx(shape.epsilon))
    assert found.keys() == weights.keys()
    for name, value in folded(weights).items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=exact * np.abs(value).max() + 1e-7, err_msg=name)


def test_a_graph_of_another_hand_is_refused(tiny_package):
    with pytest.raises(NotOurs, match=r"has no constant embeddings\.positions"):
        read_weights(onnx.load(tiny_package / MODEL))
