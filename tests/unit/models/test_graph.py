"""The ONNX graph compared with BERT in numpy, and INT8 with FP32; scores do not depend on batch or padding."""

import numpy as np
import onnx
import onnxruntime
import pytest

from hanner_inference.engine.base import Batch
from hanner_inference.engine.onnx import GRAPH_OPTIMISATION, graph_inputs
from hanner_inference.tokenization.pieces import PLACES
from hanner_inference.tokenization.rows import Row
from hanner_models.conversion.graph import Fp32, build
from hanner_models.conversion.quantise import StaticInt8, TokenInt8, calibrate
from hanner_models.conversion.rounding import round_columns
from hanner_models.conversion.smoothquant import SmoothQuant, smooth
from support.encoders import (
    SHAPE,
    VOCABULARY,
    WITH_BIGRAMS,
    WITH_CHARACTERS,
    WITH_RELU,
    numpy_bert,
    random_weights,
)

SHAPES = {"plain": SHAPE, "bigrams": WITH_BIGRAMS, "relu": WITH_RELU, "characters": WITH_CHARACTERS}
WEIGHTS = {name: random_weights(shape=shape) for name, shape in SHAPES.items()}


def rows(kind, lengths, seed=1):
    rng = np.random.default_rng(seed)
    return [Row(rng.integers(1, VOCABULARY, length), characters(kind, length, rng)) for length in lengths]


def characters(kind, length, rng):
    if kind != "characters":
        return None
    count = int(rng.integers(1, 2 * length))
    parts = (rng.integers(1, VOCABULARY, count), rng.integers(0, length, count), rng.integers(0, PLACES, count))
    return np.stack(parts)


def batch(kind, lengths, seed=1):
    return Batch.from_rows(rows(kind, lengths, seed))


def session(kind, linear):
    return open_model(build(WEIGHTS[kind], SHAPES[kind], linear))


def open_model(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = GRAPH_OPTIMISATION
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(opened_session, texts):
    return opened_session.run(["logits"], graph_inputs(texts))[0]


def lengths(texts):
    """Return the number of scored columns of each row."""
    return texts.lengths if texts.characters is None else texts.characters.lengths


@pytest.fixture(scope="module", params=SHAPES)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def ranges(kind):
    return calibrate(WEIGHTS[kind], SHAPES[kind], [batch(kind, [32] * 8, seed) for seed in range(8)]).ranges


def test_fp32_graph_matches_numpy_bert(kind):
    texts = rows(kind, [32, 5, 17, 3])
    logits = run(session(kind, Fp32()), Batch.from_rows(texts))
    for row, scores in zip(texts, logits, strict=True):
        expected = numpy_bert(WEIGHTS[kind], row.ids, SHAPES[kind].activation, row.characters)
        np.testing.assert_allclose(scores[: len(expected)], expected, atol=2e-5)


@pytest.mark.parametrize("scheme", ["static", "token"])
def test_int8_is_close_to_fp32(scheme, kind, ranges):
    texts = batch(kind, [32, 5, 17, 3], seed=99)
    linear = StaticInt8(ranges) if scheme == "static" else TokenInt8()
    exact, rough = run(session(kind, Fp32()), texts), run(session(kind, linear), texts)
    inside = np.arange(texts.columns) < lengths(texts)[:, None]
    error = np.abs(exact - rough)[inside]
    assert 0 < error.mean() < 0.03 * exact[inside].std()


@pytest.mark.parametrize("scheme", ["float", "static", "token"])
def test_scores_do_not_depend_on_the_batch(scheme, kind, ranges):
    opened_session = session(kind, {"float": Fp32(), "static": StaticInt8(ranges), "token": TokenInt8()}[scheme])
    rng = np.random.default_rng(5)
    for seed in range(10):
        texts = batch(kind, rng.integers(3, 33, 12).tolist(), seed)
        together = run(opened_session, texts)
        for row, length in enumerate(lengths(texts)):
            alone = run(opened_session, texts.part(slice(row, row + 1)))
            np.testing.assert_array_equal(together[row, :length], alone[0])


def test_graph_is_valid_and_deterministic(kind, ranges):
    model = build(WEIGHTS[kind], SHAPES[kind], StaticInt8(ranges))
    onnx.checker.check_model(model)
    assert model.SerializeToString() == build(WEIGHTS[kind], SHAPES[kind], StaticInt8(ranges)).SerializeToString()


def test_large_tensors_are_int8(kind, ranges):
    graph = build(WEIGHTS[kind], SHAPES[kind], StaticInt8(ranges)).graph
    kinds = {t.name: t.data_type for t in graph.initializer}
    matrices = (".dense.weight", ".query.weight", ".key.weight", ".value.weight", ".table")
    tables = {name for name in kinds if name.endswith(matrices)} - {"places.table"}
    assert len(tables) == 6 * len(SHAPES[kind].layer_inputs()) + (2 if kind in {"bigrams", "characters"} else 1)
    assert {kinds[name] for name in tables} == {onnx.TensorProto.INT8}


def test_static_scales_replace_relu():
    shape, weights = SHAPES["relu"], WEIGHTS["relu"]
    ranges = calibrate(weights, shape, [batch("relu", [32] * 8)]).ranges
    operators = {
        name: [node.op_type for node in build(weights, shape, linear).graph.node].count("Relu")
        for name, linear in {"float": Fp32(), "token": TokenInt8(), "static": StaticInt8(ranges)}.items()
    }
    assert operators == {"float": shape.layers, "token": shape.layers, "static": 0}


@pytest.mark.parametrize("strength", [0.5, 0.7])
def test_smoothing_does_not_change_the_scores(kind, strength):
    shape, weights, texts = SHAPES[kind], WEIGHTS[kind], batch(kind, [32, 5, 17, 3], seed=99)
    calibration = calibrate(weights, shape, [batch(kind, [32] * 8)])
    factors, smoothed = smooth(calibration, weights, shape, strength)
    model = build(weights, shape, SmoothQuant(Fp32(), factors))
    assert max(np.abs(np.log(factor)).max() for factor in factors.values()) > 0.5
    inside = np.arange(texts.columns) < lengths(texts)[:, None]
    expected, found = run(session(kind, Fp32()), texts), run(open_model(model), texts)
    np.testing.assert_allclose(found[inside], expected[inside], atol=2e-5)
    # The values of an attention are divided by their weights, so its context needs no operator; nor does a ReLU.
    products = [node.input[0] for node in model.graph.node if node.op_type == "Mul" and node.output[0] in smoothed.lows]
    assert len(products) == (2 if kind == "relu" else 3) * len(shape.layer_inputs())
    assert not [name for name in products if name.endswith((".context", ".relu"))]


def test_smoothed_static_scales_replace_relu():
    shape, weights, texts = SHAPES["relu"], WEIGHTS["relu"], batch("relu", [32, 5, 17, 3], seed=99)
    calibration = calibrate(weights, shape, [batch("relu", [32] * 8)])
    factors, smoothed = smooth(calibration, weights, shape, 0.7)
    model = build(weights, shape, SmoothQuant(StaticInt8(smoothed.ranges), factors))
    assert "Relu" not in [node.op_type for node in model.graph.node]
    inside = np.arange(texts.columns) < lengths(texts)[:, None]
    expected, found = run(session("relu", Fp32()), texts)[inside], run(open_model(model), texts)[inside]
    assert np.abs(found - expected).mean() < 0.05 * np.abs(expected).mean()


def test_columns_are_scaled_by_their_largest_value():
    weight = np.array([[1.0, -0.0101, 0.0], [-0.3, 0.02, 0.0]], dtype=np.float32)
    values, scales = round_columns(weight, 63)
    assert values.tolist() == [[63, -32, 0], [-19, 63, 0]]
    np.testing.assert_allclose(values * scales, weight, atol=float(scales.max()) / 2 + 1e-7)


def test_calibration_ignores_padding_and_needs_batches(kind, ranges):
    full = [batch(kind, [32] * 8, seed) for seed in range(8)]
    padded = calibrate(WEIGHTS[kind], SHAPES[kind], [*full, batch(kind, [3, 32], 0)]).ranges
    assert padded.keys() == ranges.keys()
    assert len(ranges) == 4 * len(SHAPES[kind].layer_inputs())
    with pytest.raises(ValueError, match="at least one batch"):
        calibrate(WEIGHTS[kind], SHAPES[kind], [])


@pytest.mark.parametrize("limit", [7, 63])
def test_compensated_rounding_has_a_smaller_error_of_the_product(limit):
    rng = np.random.default_rng(0)
    correlated = rng.normal(size=(2000, 20)) @ rng.normal(size=(20, 200))
    activations = (correlated + 0.1 * rng.normal(size=correlated.shape)).astype(np.float32)
    weight = rng.normal(size=(200, 30)).astype(np.float32)
    weight[0] = 0
    activations[:, 1] = 0  # a channel that was never active
    exact = activations @ weight

    def error(gram):
        values, scales = round_columns(weight, limit, gram)
        assert np.abs(values).max() <= limit
        return np.abs(activations @ (values * scales) - exact).mean()

    assert error(activations.T @ activations) < 0.5 * error(None)


def test_quantised_layers_compensate_rounding_with_calibration(kind):
    weights, shape = WEIGHTS[kind], SHAPES[kind]
    calibration = calibrate(weights, shape, [batch(kind, [32] * 8, seed) for seed in range(20)])
    texts = batch(kind, [32, 30, 31, 29], seed=99)
    inside = np.arange(texts.columns) < lengths(texts)[:, None]
    exact = run(session(kind, Fp32()), texts)[inside]

    def error(grams):
        linear = StaticInt8(calibration.ranges, 7, grams)
        return np.abs(run(session(kind, linear), texts)[inside] - exact).mean()

    assert error(calibration.grams) < error({})
