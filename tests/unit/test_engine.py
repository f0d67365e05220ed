"""Engines are found by name, and their failures have names."""

import sys
from types import ModuleType

import numpy as np
import pytest

from nerq.errors import InvalidSettings, ModelFailed
from nerq_worker.engine.base import Batch
from nerq_worker.engine.find import open_engine
from nerq_worker.engine.onnx import OnnxEngine
from nerq_worker.store import open_package


@pytest.fixture(scope="module")
def package(tiny_package):
    return open_package(tiny_package)


@pytest.fixture(scope="module")
def batch():
    return Batch(np.array([[2, 10, 11, 12, 3], [2, 10, 3, 0, 0]]), np.array([5, 3]))


def test_engines_are_found_by_name_or_by_place(package, monkeypatch):
    assert isinstance(open_engine("onnx", package), OnnxEngine)
    module = ModuleType("my_engines")
    module.Mine = lambda package: ("mine", package)
    monkeypatch.setitem(sys.modules, "my_engines", module)
    assert open_engine("my_engines:Mine", package) == ("mine", package)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nonesuch", "NERQ_ENGINE names no engine: 'nonesuch'; known are onnx, or give module:attribute"),
        ("no_such_module:Engine", "cannot be imported: No module named 'no_such_module'"),
        ("nerq_worker.engine.onnx:Nothing", "cannot be imported: .*Nothing"),
        (":", "cannot be imported"),
    ],
)
def test_an_engine_that_is_none_is_refused(package, name, why):
    with pytest.raises(InvalidSettings, match=why):
        open_engine(name, package)


def test_padding_does_not_change_scores(package, batch):
    engine = OnnxEngine(package)
    together = engine.run(batch)
    alone = engine.run(Batch(batch.input_ids[1:, :3], batch.lengths[1:]))
    assert together.shape == (2, 5, 7)
    np.testing.assert_allclose(together[1, :3], alone[0], atol=1e-5)


def test_a_failing_graph_is_a_failed_model(package):
    with pytest.raises(ModelFailed, match="the model failed on a batch of 1 x 3 tokens"):
        OnnxEngine(package).run(Batch(np.array([[2, 99_999_999, 3]]), np.array([3])))
