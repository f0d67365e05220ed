"""Engines are found by name; their failures are reported as our errors."""

import sys
from types import ModuleType

import numpy as np
import pytest

from hanner.errors import InvalidSettings, ModelFailed
from hanner.settings import Settings
from hanner_inference.engine import onnx
from hanner_inference.engine.base import Batch, Budget
from hanner_inference.engine.onnx import OnnxEngine
from hanner_inference.engine.registry import open_engine
from hanner_inference.loading import apply_engine_budget
from hanner_inference.package import open_package


@pytest.fixture(scope="module")
def package(tiny_package):
    return open_package(tiny_package)


@pytest.fixture(scope="module")
def batch():
    return Batch(np.array([[2, 10, 11, 12, 3], [2, 10, 3, 0, 0]]), np.array([5, 3]))


def test_engines_are_found_by_name_or_module_attribute(package, monkeypatch):
    assert isinstance(open_engine("onnx", package), OnnxEngine)
    module = ModuleType("my_engines")
    module.Mine = lambda package: ("mine", package)
    monkeypatch.setitem(sys.modules, "my_engines", module)
    assert open_engine("my_engines:Mine", package) == ("mine", package)


def test_engine_whose_module_fails_is_reported_by_name(package, monkeypatch, tmp_path):
    (tmp_path / "broken_engine.py").write_text("raise RuntimeError('no licence')\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidSettings, match=r"'broken_engine:Mine' of HANNER_ENGINE cannot be imported: no licence"):
        open_engine("broken_engine:Mine", package)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nonesuch", "HANNER_ENGINE='nonesuch' is not a known engine; use one of onnx, torch, or module:attribute"),
        ("no_such_module:Engine", "cannot be imported: No module named 'no_such_module'"),
        ("hanner_inference.engine.onnx:Nothing", "cannot be imported: .*Nothing"),
        (":", "cannot be imported"),
    ],
)
def test_an_unknown_engine_is_rejected(package, name, why):
    with pytest.raises(InvalidSettings, match=why):
        open_engine(name, package)


def test_padding_does_not_change_scores(package, batch):
    engine = OnnxEngine(package)
    together = engine.run(batch)
    alone = engine.run(Batch(batch.input_ids[1:, :3], batch.lengths[1:]))
    assert together.shape == (2, 5, 7)
    np.testing.assert_allclose(together[1, :3], alone[0], atol=1e-5)


def test_a_failing_graph_raises_model_failed(package):
    with pytest.raises(ModelFailed, match="the model failed on a batch of 1 x 3 tokens"):
        OnnxEngine(package).run(Batch(np.array([[2, 99_999_999, 3]]), np.array([3])))


@pytest.mark.parametrize("limit", [1, 7, 16, 10_000])
def test_a_batch_run_in_parts_has_the_same_scores(package, monkeypatch, limit):
    lengths = np.array([9, 3, 12, 5, 5, 4])
    ids = np.where(np.arange(12) < lengths[:, None], np.arange(10, 82).reshape(6, 12), 0)
    whole = OnnxEngine(package).run(Batch(ids, lengths))
    monkeypatch.setattr(onnx, "TOKENS_PER_RUN", limit)
    parts = OnnxEngine(package).run(Batch(ids, lengths))
    kept = np.arange(12) < lengths[:, None]
    np.testing.assert_allclose(parts[kept], whole[kept], atol=1e-6)


def test_parts_respect_the_limit_and_cover_every_row(package, monkeypatch):
    sizes = []
    engine = OnnxEngine(package)
    monkeypatch.setattr(onnx, "TOKENS_PER_RUN", 20)
    monkeypatch.setattr(engine, "_scores", lambda part: sizes.append(part.input_ids.shape) or 1)
    scores = engine.run(Batch(np.ones((5, 30), dtype=np.int64), np.array([30, 8, 8, 10, 2])))
    assert sizes == [(1, 30), (2, 8), (2, 10)]
    assert scores[:, 0].all()


def test_the_engine_budget_applies_unless_the_user_sets_the_limits():
    class Large:
        budget = Budget(texts=256, tokens=65536)

    assert apply_engine_budget(Settings(), object()) == Settings()
    assert (
        apply_engine_budget(Settings(), Large()).batch_texts,
        apply_engine_budget(Settings(), Large()).batch_tokens,
    ) == (256, 65536)
    assert apply_engine_budget(Settings(batch_texts=8), Large()).batch_texts == 8
