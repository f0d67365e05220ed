"""Reading pytorch_model.bin, and transformers' own model as the reference. Needs torch."""

import collections
import os

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file

from hanner_inference.engine.onnx import OnnxEngine
from hanner_inference.package import Manifest
from hanner_models.conversion.calibration_data import built_in_sentences, make_batches
from hanner_models.conversion.convert import convert, write_package
from hanner_models.conversion.graph import Fp32
from hanner_models.conversion.torch_model import TorchReference
from hanner_models.source import ConversionError, read_source
from support.taggers import write_tagger


@pytest.fixture
def folder(tmp_path):
    """A folder whose weights are in pytorch_model.bin."""
    result = write_tagger(tmp_path / "model")
    state = {name: torch.from_numpy(value) for name, value in load_file(result / "model.safetensors").items()}
    torch.save(state, result / "pytorch_model.bin")
    (result / "model.safetensors").unlink()
    return result


def test_pickle_gives_same_weights_as_safetensors(folder, tmp_path):
    other = read_source(write_tagger(tmp_path / "other"))
    source = read_source(folder)
    assert source.weights.keys() == other.weights.keys()
    for name, value in other.weights.items():
        np.testing.assert_array_equal(source.weights[name], value)


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_trainer_checkpoint_is_unwrapped(folder, wrapper):
    path = folder / "pytorch_model.bin"
    torch.save({wrapper: torch.load(path, weights_only=True), "step": 3}, path)
    assert read_source(folder).weights


def test_half_precision_is_converted_to_float32(folder):
    path = folder / "pytorch_model.bin"
    state = torch.load(path, weights_only=True)
    torch.save({name: value.bfloat16() if value.is_floating_point() else value for name, value in state.items()}, path)
    assert {value.dtype for value in read_source(folder).weights.values()} == {np.dtype(np.float32)}


class Command:
    def __reduce__(self):
        return os.system, ("touch pickle-was-run",)


@pytest.mark.parametrize("thing", [Command(), {"a": Command()}, collections.Counter])
def test_pickle_with_code_is_not_loaded(folder, thing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(thing, folder / "pytorch_model.bin")
    with pytest.raises(ConversionError, match=r"pytorch_model\.bin") as error:
        read_source(folder)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "pickle-was-run").exists()


@pytest.mark.parametrize("keep", [0, 10, 1000, -100])
def test_truncated_pickle_is_rejected(folder, keep):
    path = folder / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ConversionError, match=r"pytorch_model\.bin"):
        read_source(folder)


@pytest.mark.parametrize("thing", [[1, 2], {"a": 1}, torch.zeros(3)])
def test_pickle_without_state_dict_is_rejected(folder, thing):
    torch.save(thing, folder / "pytorch_model.bin")
    with pytest.raises(ConversionError, match="state_dict"):
        read_source(folder)


def test_graph_matches_transformers_model(folder, tmp_path):
    source = read_source(folder)
    manifest = Manifest(name="x", source="tests", revision="", labels=source.labels, tokenizer=source.options)
    graph = OnnxEngine(write_package(source, tmp_path / "fp32", Fp32(), manifest))
    reference = TorchReference(source)
    for item in make_batches(source, built_in_sentences()[:64]):
        inside = np.arange(item.batch.input_ids.shape[1]) < item.batch.lengths[:, None]
        np.testing.assert_allclose(graph.run(item.batch)[inside], reference.run(item.batch)[inside], atol=5e-5)


def test_reads_folder_saved_by_transformers(tmp_path):
    folder = write_tagger(tmp_path / "model", "transformers", crf=False)
    config = transformers.BertConfig.from_pretrained(folder)
    made = transformers.BertForTokenClassification(config).eval()
    saved = tmp_path / "saved"
    made.save_pretrained(saved)
    transformers.BertTokenizerFast.from_pretrained(folder).save_pretrained(saved)
    source = read_source(saved)
    np.testing.assert_array_equal(source.weights["linear.weight"], made.classifier.weight.detach().numpy())
    ids = torch.tensor([[2, 7, 8, 9, 3]])
    with torch.inference_mode():
        expected = made(input_ids=ids).logits.numpy()
        item = next(make_batches(source, ["x"])).batch
        got = TorchReference(source).run(type(item)(ids.numpy(), np.array([5])))
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_manifest_names_the_reference(folder, tmp_path):
    package = convert(read_source(folder), tmp_path / "out", name="small", scheme="token", force=True)
    figures = package.manifest.verification["built-in sentences"]
    assert figures["reference"].startswith(f"torch {torch.__version__.partition('+')[0]}, transformers")
