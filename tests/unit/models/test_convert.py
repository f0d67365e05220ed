"""Conversion of a tagger's folder to a package is atomic; errors are one line."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from hanner_inference import load
from hanner_inference.package import TOKENIZER, open_package
from hanner_models.cli import app
from hanner_models.conversion import convert as conversion
from hanner_models.conversion.calibration_data import verification_texts
from hanner_models.conversion.convert import convert
from hanner_models.conversion.verify import Difference
from hanner_models.data.datasets import Sentence, Span
from hanner_models.source import ConversionError, read_source
from support.encoders import SHAPE, VOCABULARY, random_weights
from support.packages import BIO, tiny_tokenizer
from support.taggers import write_tagger

TEXTS = ["马云在杭州阿里巴巴总部发表演讲。", "今天天气很好，我们去北京。", "he said 2011 年"]
LABELLED = {"dev": [Sentence(TEXTS[0], (Span("PER", 0, 2),)), Sentence(TEXTS[1], ())]}


@pytest.fixture
def tagger(tmp_path):
    """A tagger in RaNER's layout, with the tiny tokenizer reduced to the encoder's vocabulary."""
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
        "hanner_text": {"lowercase": True, "half_width": True},
        "hanner_training": {"source": "tests", "revision": "1", "licences": [{"data": "none"}], "steps": 3},
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def converted(tagger, out, **changes):
    arguments = {"name": "small", "calibration": TEXTS, "verification": LABELLED, "scheme": "static", "force": True}
    arguments |= changes
    return convert(read_source(tagger), out, **arguments)


def test_converted_package_runs_and_states_its_origin(tagger, tmp_path):
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


def test_word_pieces_that_no_text_has_are_not_in_the_package(tagger, tmp_path):
    path = tagger / "tokenizer.json"
    tokenizer = json.loads(path.read_text("utf-8"))
    pieces = list(tokenizer["model"]["vocab"])
    pieces[-2:] = ["[unused1]", "##国"]
    tokenizer["model"]["vocab"] = {piece: number for number, piece in enumerate(pieces)}
    path.write_text(json.dumps(tokenizer), "utf-8")
    package = converted(tagger, tmp_path / "out")
    kept = json.loads(package.read(TOKENIZER))["model"]["vocab"]
    assert list(kept) == pieces[:-2]


def test_existing_output_folder_is_not_changed(tagger, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("keep", "utf-8")
    with pytest.raises(ConversionError, match="already exists"):
        converted(tagger, out)
    assert [file.name for file in out.iterdir()] == ["mine"]


@pytest.mark.parametrize("out", ["out", "deep/down/out"])
def test_full_disk_is_reported_and_leaves_no_files(tagger, tmp_path, monkeypatch, out):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConversionError, match=r"cannot write .*: No space left on device"):
        converted(tagger, tmp_path / out)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tagger"]


def test_interruption_leaves_no_files(tagger, tmp_path):
    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        converted(tagger, tmp_path / "out", progress=interrupt)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tagger"]


@pytest.mark.parametrize("scheme", ["static", "smooth", "token"])
def test_every_scheme_creates_package_with_comparison(tagger, tmp_path, scheme):
    package = converted(tagger, tmp_path / "out", scheme=scheme, calibration=None)
    figures = package.manifest.verification["built-in sentences"]
    assert figures["texts"] == len(verification_texts())
    assert figures["tokens"] > 3000
    assert figures["tag_agreement"] > 0.9
    assert 0 < figures["mean_logit_error"] < figures["largest_logit_error"] < 1
    assert figures["reference"]


@pytest.mark.parametrize(("agreements", "strength"), [((0.9, 0.996, 0.998), 0.8), ((0.9, 0.997, 0.99), 0.7)])
def test_auto_chooses_first_scheme_that_agrees_or_fails(tagger, tmp_path, monkeypatch, agreements, strength):
    tried = []

    def fake_compare(source, texts, engine, reference):
        tried.append(engine)
        return Difference(1, 1000, agreements[len(tried) - 1], 0.1, 0.1)

    monkeypatch.setattr(conversion, "compare", fake_compare)
    package = converted(tagger, tmp_path / "out", scheme="auto", verification={}, force=False)
    assert "outliers smoothed" in package.manifest.quantisation["scheme"]
    assert package.manifest.quantisation["smoothing_strength"] == strength
    assert len(tried) == 3
    monkeypatch.setattr(conversion, "compare", lambda *_: Difference(1, 1000, 0.9, 0.1, 0.1))
    with pytest.raises(ConversionError, match=r"only 90.00%.*99.5%.*--force"):
        converted(tagger, tmp_path / "refused", scheme="auto", verification={}, force=False)
    assert not (tmp_path / "refused").exists()
    assert converted(tagger, tmp_path / "forced", scheme="auto", verification={}).path == tmp_path / "forced"


def test_strength_of_the_smoothing_is_an_option(tagger, tmp_path):
    options = ["--scheme", "smooth", "--strength", "0.6", "--force"]
    result = CliRunner().invoke(app, ["convert", str(tagger), str(tmp_path / "out"), *options])
    assert result.exit_code == 0, result.output
    assert open_package(tmp_path / "out").manifest.quantisation["smoothing_strength"] == 0.6


def test_invalid_model_name_is_rejected(tagger, tmp_path):
    with pytest.raises(ConversionError, match="--name"):
        converted(tagger, tmp_path / "out", name="模型")


def test_modelscope_folder_is_converted_with_its_decoding(tmp_path):
    package = converted(write_tagger(tmp_path / "model"), tmp_path / "out")
    assert package.manifest.spans == "modelscope"
    assert package.manifest.tokenizer.label_mask == "first"
    assert package.manifest.source == "model"
    assert len(load(package.path).extract(TEXTS)) == 3


@pytest.mark.parametrize("option", [[], ["--fold-traditional"]])
def test_convert_folds_traditional_characters_only_if_asked(tagger, tmp_path, option):
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["convert", str(tagger), str(out), "--scheme", "token", "--force", *option])
    assert result.exit_code == 0, result.output
    assert open_package(out).manifest.tokenizer.fold_traditional == bool(option)


def test_convert_command_and_inspect_command(tagger, tmp_path):
    run = CliRunner().invoke
    result = run(app, ["convert", str(tagger), str(tmp_path / "out"), "--scheme", "token", "--force"])
    assert result.exit_code == 0, result.output
    inspected = run(app, ["inspect", str(tmp_path / "out")])
    for part in ("out@", "B-PER", "half width", "built-in sentences", "same labels", "largest logit error"):
        assert part in inspected.output
    as_json = run(app, ["inspect", "--json", str(tmp_path / "out")])
    assert json.loads(as_json.output)["verification"]["built-in sentences"]["tokens"] > 3000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", "SRC", "OUT", "--scheme", "half"], "--scheme must be one of"),
        (["convert", "nowhere", "OUT"], "folder nowhere does not exist"),
        (["convert", "SRC", "SRC"], "already exists"),
        (["fetch", "no-owner", "--out", "OUT"], "give it as owner/name"),
        (["fetch", "owner/name", "--out", "SRC"], "already exists"),
    ],
)
def test_failing_commands_print_one_line_and_exit_with_2(tagger, tmp_path, arguments, message):
    paths = {"SRC": str(tagger), "OUT": str(tmp_path / "out")}
    result = CliRunner().invoke(app, [paths.get(argument, argument) for argument in arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_missing_calibration_texts_are_reported(tagger, tmp_path):
    with pytest.raises(ConversionError, match="--calibrate"):
        converted(tagger, tmp_path / "out", calibration=[])


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_error_names_missing_file(tagger, name):
    (tagger / name).unlink()
    with pytest.raises(ConversionError, match=name):
        read_source(tagger)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2]", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_damaged_file_is_rejected(tagger, name, content):
    (tagger / name).write_bytes(content)
    with pytest.raises(ConversionError):
        read_source(tagger)


def test_error_names_missing_weight(tagger):
    state = load_file(tagger / "model.safetensors")
    del state["encoder.encoder.layer.1.output.dense.weight"]
    save_file(state, tagger / "model.safetensors")
    with pytest.raises(ConversionError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        read_source(tagger)


def test_unsupported_activation_is_rejected(tagger):
    config = json.loads((tagger / "config.json").read_text("utf-8")) | {"hidden_act": "silu"}
    (tagger / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ConversionError, match="silu"):
        read_source(tagger)
