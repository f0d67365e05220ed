"""The PyTorch engine computes the network of the graph, also in a worker's pool processes."""

import numpy as np
import pytest
import torch

from hanner_inference import load
from hanner_inference.engine.base import Batch
from hanner_inference.engine.onnx import OnnxEngine
from hanner_inference.engine.registry import open_engine
from hanner_inference.package import ModelPackageError, open_package
from hanner_models.conversion.torch_engine import GPU_BUDGET, TorchEngine
from hanner_models.conversion.torch_model import build_network, infer
from support.base_package import SMALL, random_tagger, write_random_package
from support.servers import redis_server
from support.workers import foreign_app, worker

TEXTS = ["一丁七万丈三上下", "不与丐丑", "专且丕世丗丘丙业丛东" * 3]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return open_package(write_random_package(tmp_path_factory.mktemp("models") / "int8"))


@pytest.fixture(scope="module")
def batch():
    lengths = np.array([40, 12, 33])
    return Batch(np.where(np.arange(40) < lengths[:, None], np.arange(106, 226).reshape(3, 40), 0), lengths)


def unpadded(batch):
    return np.arange(batch.input_ids.shape[1]) < batch.lengths[:, None]


def test_fp32_network_matches_graph(tmp_path, batch):
    package = open_package(write_random_package(tmp_path / "fp32", scheme="fp32"))
    weights = random_tagger(SMALL).weights
    with torch.inference_mode():
        ours = infer(build_network(weights, SMALL.shape), batch).numpy()
    np.testing.assert_allclose(ours[unpadded(batch)], OnnxEngine(package).run(batch)[unpadded(batch)], atol=2e-5)


def test_engine_opens_by_name_with_int8_precision(package, batch):
    engine = open_engine("torch", package)
    assert isinstance(engine, TorchEngine)
    scores = engine.run(batch)
    assert scores.dtype == np.float32
    assert scores.shape == (3, 40, 7)
    expected = OnnxEngine(package).run(batch)[unpadded(batch)]
    assert np.abs(scores[unpadded(batch)] - expected).max() < 0.25 * expected.std()
    assert torch.get_num_threads() == 1


def test_gpu_uses_bf16_and_larger_batches(package, batch):
    engine = TorchEngine(package, device="cuda")
    assert engine.budget == GPU_BUDGET
    engine.device = "cpu"  # runs the same network without a GPU
    expected = OnnxEngine(package).run(batch)[unpadded(batch)]
    assert np.abs(engine.run(batch)[unpadded(batch)] - expected).max() < 0.25 * expected.std()
    assert {parameter.dtype for parameter in engine._network.parameters()} == {torch.bfloat16}


def test_foreign_graph_is_rejected(tiny_package):
    with pytest.raises(ModelPackageError, match="use HANNER_ENGINE=onnx"):
        TorchEngine(open_package(tiny_package))


def test_model_that_labels_characters_is_rejected(tiny_piece_package):
    with pytest.raises(ModelPackageError, match=r"^tiny-pieces@\w+ labels characters .*; use HANNER_ENGINE=onnx, or"):
        TorchEngine(open_package(tiny_piece_package))


def test_engine_works_in_forked_processes(package, monkeypatch):
    env = {"HANNER_ENGINE": "torch", "HANNER_MODEL": str(package.path)}
    options = {"app": "hanner_worker", "env": env, "ready": False}
    with redis_server() as server, worker(server.url, "-c", "2", **options) as running:
        running.wait_for("ready: model", timeout=120)  # importing PyTorch takes long
        with foreign_app(server.url) as app:
            results = [app.send_task("hanner.extract", [text]) for text in TEXTS]
            answers = [result.get(timeout=60)["entities"] for result in results]
        assert running.stop() == 0
    monkeypatch.setenv("HANNER_ENGINE", "torch")
    expected = load(package.path).extract(TEXTS[:1])[0]
    assert any(answers)
    assert [e["text"] for e in answers[0]] == [e.text for e in expected]
