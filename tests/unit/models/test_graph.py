"""The ONNX graph compared with BERT in numpy, and INT8 with FP32; scores do not depend on batch or padding."""

import numpy as np
import onnx
import onnxruntime
import pytest

from hanner_inference.engine.base import Batch
from hanner_inference.engine.onnx import GRAPH_OPTIMISATION
from hanner_models.conversion.graph import Fp32, build
from hanner_models.conversion.quantise import StaticInt8, TokenInt8, calibrate, quantise_columns
from support.encoders import SHAPE, VOCABULARY, WITH_BIGRAMS, WITH_RELU, numpy_bert, random_weights

SHAPES = {"plain": SHAPE, "bigrams": WITH_BIGRAMS, "relu": WITH_RELU}
WEIGHTS = {name: random_weights(shape=shape) for name, shape in SHAPES.items()}


def batch(lengths, seed=1):
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, VOCABULARY, (len(lengths), max(lengths)))
    ids[np.arange(max(lengths)) >= np.array(lengths)[:, None]] = 0
    return Batch(ids, np.array(lengths))


def session(kind, linear):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = GRAPH_OPTIMISATION
    model = build(WEIGHTS[kind], SHAPES[kind], linear).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(opened_session, texts):
    mask = (np.arange(texts.input_ids.shape[1]) < texts.lengths[:, None]).astype(np.int64)
    return opened_session.run(["logits"], {"input_ids": texts.input_ids, "attention_mask": mask})[0]


@pytest.fixture(scope="module", params=SHAPES)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def ranges(kind):
    return calibrate(WEIGHTS[kind], SHAPES[kind], [batch([32] * 8, seed) for seed in range(8)])


def test_fp32_graph_matches_numpy_bert(kind):
    texts = batch([32, 5, 17, 3])
    logits = run(session(kind, Fp32()), texts)
    for row, length in enumerate(texts.lengths):
        expected = numpy_bert(WEIGHTS[kind], texts.input_ids[row, :length], SHAPES[kind].activation)
        np.testing.assert_allclose(logits[row, :length], expected, atol=2e-5)


@pytest.mark.parametrize("scheme", ["static", "token"])
def test_int8_is_close_to_fp32(scheme, kind, ranges):
    texts = batch([32, 5, 17, 3], seed=99)
    linear = StaticInt8(ranges) if scheme == "static" else TokenInt8()
    exact, rough = run(session(kind, Fp32()), texts), run(session(kind, linear), texts)
    inside = np.arange(32) < texts.lengths[:, None]
    error = np.abs(exact - rough)[inside]
    assert 0 < error.mean() < 0.03 * exact[inside].std()


@pytest.mark.parametrize("scheme", ["float", "static", "token"])
def test_scores_do_not_depend_on_the_batch(scheme, kind, ranges):
    opened_session = session(kind, {"float": Fp32(), "static": StaticInt8(ranges), "token": TokenInt8()}[scheme])
    rng = np.random.default_rng(5)
    for seed in range(10):
        texts = batch(rng.integers(3, 33, 12).tolist(), seed)
        together = run(opened_session, texts)
        for row, length in enumerate(texts.lengths):
            alone = run(opened_session, Batch(texts.input_ids[row : row + 1, :length], texts.lengths[row : row + 1]))
            np.testing.assert_array_equal(together[row, :length], alone[0])


def test_graph_is_valid_and_deterministic(kind, ranges):
    model = build(WEIGHTS[kind], SHAPES[kind], StaticInt8(ranges))
    onnx.checker.check_model(model)
    assert model.SerializeToString() == build(WEIGHTS[kind], SHAPES[kind], StaticInt8(ranges)).SerializeToString()


def test_large_tensors_are_int8(kind, ranges):
    graph = build(WEIGHTS[kind], SHAPES[kind], StaticInt8(ranges)).graph
    kinds = {t.name: t.data_type for t in graph.initializer}
    tables = {name for name in kinds if name.endswith((".dense.weight", ".qkv.weight", ".table"))}
    assert len(tables) == 4 * SHAPE.layers + (2 if kind == "bigrams" else 1)
    assert {kinds[name] for name in tables} == {onnx.TensorProto.INT8}


def test_static_scales_replace_relu():
    shape, weights = SHAPES["relu"], WEIGHTS["relu"]
    ranges = calibrate(weights, shape, [batch([32] * 8)])
    operators = {
        name: [node.op_type for node in build(weights, shape, linear).graph.node].count("Relu")
        for name, linear in {"float": Fp32(), "token": TokenInt8(), "static": StaticInt8(ranges)}.items()
    }
    assert operators == {"float": shape.layers, "token": shape.layers, "static": 0}


def test_columns_are_scaled_by_their_largest_value():
    weight = np.array([[1.0, -0.0101, 0.0], [-0.3, 0.02, 0.0]], dtype=np.float32)
    values, scales = quantise_columns(weight, 63)
    assert values.tolist() == [[63, -32, 0], [-19, 63, 0]]
    np.testing.assert_allclose(values * scales, weight, atol=float(scales.max()) / 2 + 1e-7)


def test_calibration_ignores_padding_and_needs_batches(kind, ranges):
    padded = calibrate(WEIGHTS[kind], SHAPES[kind], [batch([32] * 8, seed) for seed in range(8)] + [batch([3, 32], 0)])
    assert padded.keys() == ranges.keys()
    assert len(ranges) == 4 * SHAPE.layers
    with pytest.raises(ValueError, match="at least one batch"):
        calibrate(WEIGHTS[kind], SHAPES[kind], [])
