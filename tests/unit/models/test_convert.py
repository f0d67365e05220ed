"""From a tagger's folder to a package: whole or not at all, and refused with a sentence when it cannot be."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from nerq_models.convert import ConversionError, convert, read_source
from nerq_models.labelled import Sentence, Span
from nerq_worker import load
from support.encoders import SHAPE, VOCABULARY, random_weights
from support.packages import BIO, tiny_tokenizer

TEXTS = ["马云在杭州阿里巴巴总部发表演讲。", "今天天气很好，我们去北京。", "he said 2011 年"]
LABELLED = {"dev": [Sentence(TEXTS[0], (Span("PER", 0, 2),)), Sentence(TEXTS[1], ())]}


@pytest.fixture
def tagger(tmp_path):
    """A tagger in RaNER's layout, with the tiny tokenizer cut to the encoder's vocabulary."""
    folder = tmp_path / "tagger"
    folder.mkdir()
    tokenizer = json.loads(tiny_tokenizer().to_str())
    tokenizer["model"]["vocab"] = dict(list(tokenizer["model"]["vocab"].items())[:VOCABULARY])
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    rng = np.random.default_rng(0)
    state = {
        ("head." if name.startswith("linear") else "encoder.") + name: value for name, value in random_weights().items()
    }
    for name, shape in (("start_transitions", 7), ("end_transitions", 7), ("transitions", (7, 7))):
        state[f"head.crf.{name}"] = rng.normal(size=shape).astype(np.float32)
    save_file(state, folder / "model.safetensors")
    config = {
        "num_hidden_layers": SHAPE.layers,
        "num_attention_heads": SHAPE.heads,
        "max_position_embeddings": SHAPE.max_length,
        "id2label": dict(enumerate(BIO)),
        "nerq_text": {"lowercase": True, "half_width": True},
        "nerq_training": {"source": "tests", "revision": "1", "licences": [{"data": "none"}], "steps": 3},
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def converted(tagger, out, **changes):
    arguments = {"name": "small", "calibration": TEXTS, "verification": LABELLED} | changes
    return convert(read_source(tagger), out, **arguments)


def test_makes_a_package_that_runs_and_says_where_it_is_from(tagger, tmp_path):
    package = converted(tagger, tmp_path / "out")
    manifest = package.manifest
    assert (manifest.name, manifest.source, manifest.revision) == ("small", "tests", "1")
    assert manifest.licences == ({"data": "none"},)
    assert manifest.training == {"steps": 3}
    assert manifest.quantisation["calibration_texts"] == 3
    figures = manifest.verification["dev"]
    assert figures["texts"] == 2
    assert 0 <= figures["same_entities"] <= 1
    assert len(load(package.path).extract(TEXTS)) == 3


def test_an_existing_folder_is_left_as_it_was(tagger, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("keep", "utf-8")
    with pytest.raises(ConversionError, match="exists already"):
        converted(tagger, out)
    assert [file.name for file in out.iterdir()] == ["mine"]


def test_a_failure_on_the_way_leaves_nothing_behind(tagger, tmp_path):
    def broken():
        raise OSError(28, "No space left on device")

    class Broken(dict):
        def items(self):
            return broken()

    with pytest.raises(OSError, match="No space left"):
        converted(tagger, tmp_path / "out", verification=Broken(dev=[]))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tagger"]


def test_nothing_to_calibrate_with_is_said(tagger, tmp_path):
    with pytest.raises(ConversionError, match="--calibrate"):
        converted(tagger, tmp_path / "out", calibration=[])


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(tagger, name):
    (tagger / name).unlink()
    with pytest.raises(ConversionError, match=name):
        read_source(tagger)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2]", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_file_is_refused(tagger, name, content):
    (tagger / name).write_bytes(content)
    with pytest.raises(ConversionError):
        read_source(tagger)


def test_a_missing_weight_is_named(tagger):
    state = load_file(tagger / "model.safetensors")
    del state["encoder.encoder.layer.1.output.dense.weight"]
    save_file(state, tagger / "model.safetensors")
    with pytest.raises(ConversionError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        read_source(tagger)


def test_another_activation_is_refused(tagger):
    config = json.loads((tagger / "config.json").read_text("utf-8")) | {"hidden_act": "relu"}
    (tagger / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ConversionError, match="relu"):
        read_source(tagger)
