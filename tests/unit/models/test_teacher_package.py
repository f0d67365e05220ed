"""The folder of a teacher's run becomes a package: weights, vocabulary, comparison with FP32, messages."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from hanner_inference import load
from hanner_inference.package import open_package
from hanner_models.cli import app
from hanner_models.conversion import vocabulary
from hanner_models.conversion.base_model import open_base_model
from hanner_models.conversion.convert import convert
from hanner_models.conversion.vocabulary import count_usage, cut_vocabulary
from hanner_models.source import ConversionError, read_source
from hanner_models.source.teacher import LABELS
from support.encoders import HIDDEN, INNER, WITH_CHARACTERS, random_weights
from support.packages import tiny_crf
from support.piece_packages import tiny_characters, tiny_pieces

TEXTS = ["马云在杭州阿里巴巴总部发表演讲。", "今天天气很好，我们去北京。", "he said 2011 年"]
POSITIONS = 64


def rename(name):
    """Return the name of a weight in a teacher's file."""
    if name.startswith(("embeddings.", "encoder.")):
        return f"encoder.{name}"
    return f"head.{name}" if name.startswith("linear.") else name


@pytest.fixture
def run(tmp_path):
    """The folder of a finished run, with random weights."""
    folder = tmp_path / "run"
    folder.mkdir()
    tokenizer, characters = tiny_pieces(), tiny_characters()
    content = json.loads(tokenizer.to_str())
    for entry, name in zip(content["model"]["vocab"], ("<pad>", "<unk>", "<s>", "</s>"), strict=False):
        entry[0] = name
    (folder / "pieces.json").write_text(json.dumps(content), "utf-8")
    (folder / "characters.txt").write_text("\n".join(characters), "utf-8")
    pieces = tokenizer.get_vocab_size()
    sizes = {"hidden": HIDDEN, "layers": WITH_CHARACTERS.layers, "heads": WITH_CHARACTERS.heads, "feed_forward": INNER}
    sizes |= {"vocabulary": pieces, "positions": POSITIONS, "token_types": 2}
    (folder / "encoder.json").write_text(json.dumps(sizes), "utf-8")
    config = {"name": "t", "seed": 3, "teach": {"max_length": 40}, "vocabulary": ["a.txt"], "licences": [{"data": "x"}]}
    (folder / "teacher.json").write_text(json.dumps(config), "utf-8")
    weights = random_weights(
        shape=WITH_CHARACTERS, vocabulary=pieces, characters=len(characters) + 2, labels=len(LABELS)
    )
    weights["embeddings.position_embeddings.weight"] = np.resize(
        weights["embeddings.position_embeddings.weight"], (POSITIONS, HIDDEN)
    )
    weights["linear.weight"] *= 5
    crf = tiny_crf(len(LABELS), np.random.default_rng(0))
    state = {rename(name): value for name, value in weights.items()}
    for head in ("head", "auxiliary"):
        state |= {
            f"{head}.crf.{part}": getattr(crf, part).astype(np.float32)
            for part in ("start_transitions", "end_transitions", "transitions")
        }
    state |= {
        "auxiliary.linear.weight": state["head.linear.weight"],
        "auxiliary.linear.bias": state["head.linear.bias"],
    }
    save_file(state, folder / "teacher.safetensors")
    (tmp_path / "a.txt").write_text("\n".join(TEXTS), "utf-8")
    return folder


def entities(package):
    return load(package).extract([*TEXTS, "馬雲說：<s>😀", "ＡＢ杭州"])


def test_package_of_a_teacher_runs_and_states_its_origin(run, tmp_path):
    package = convert(read_source(run), tmp_path / "out", name="hanner-base", scheme="static", force=True)
    manifest = package.manifest
    assert (manifest.name, manifest.source, manifest.revision) == (
        "hanner-base",
        "hanner_models.train.teacher",
        "seed 3",
    )
    assert manifest.licences == ({"data": "x"},)
    assert manifest.labels == LABELS
    assert manifest.tokenizer.max_length == 42
    assert manifest.verification["built-in sentences"]["tag_agreement"] > 0.9
    assert manifest.verification["built-in sentences"]["tokens"] > 3000
    assert any(entities(package.path))


def test_cut_package_has_the_same_entities_in_texts_with_kept_pieces(run, tmp_path):
    source = read_source(run)
    whole = convert(source, tmp_path / "whole", name="m", scheme="static", force=True, calibration=TEXTS)
    cut = cut_vocabulary(source, count_usage(source, TEXTS))
    small = convert(cut, tmp_path / "small", name="m", scheme="static", force=True, calibration=TEXTS)
    assert load(small.path).extract(TEXTS) == load(whole.path).extract(TEXTS)
    assert set(cut.characters) == {c for c in "".join(TEXTS).replace("，", ",") if c != " "}
    pieces = {piece for piece, _ in json.loads(cut.tokenizer)["model"]["vocab"]}
    assert "阿里巴巴" in pieces
    assert "张三" not in pieces
    assert {"张", "三"} <= pieces  # pieces of one character are never dropped
    assert small.manifest.training["vocabulary"]["characters"] == len(cut.characters)
    assert cut.weights["characters.weight"].shape == (len(cut.characters) + 2, HIDDEN)


def test_vocabulary_is_cut_until_the_package_is_small_enough(run, tmp_path, monkeypatch):
    monkeypatch.setattr(vocabulary, "_MARGIN", 20_000)
    (tmp_path / "a.txt").write_text("\n".join([*TEXTS * 2, "".join(tiny_characters()[:1500])]), "utf-8")
    packages = {}
    for limit in (None, 0.3):
        out = tmp_path / f"out{limit}"
        arguments = ["convert", str(run), str(out), "--scheme", "static", "--force", "--data", str(tmp_path)]
        result = CliRunner().invoke(app, [*arguments, *(["--max-mb", str(limit)] if limit else [])])
        assert result.exit_code == 0, result.output
        packages[limit] = open_package(out)
    sizes = [sum(file.bytes for file in package.manifest.files.values()) for package in packages.values()]
    assert sizes[1] <= 300_000 < sizes[0]
    kept = [package.manifest.training["vocabulary"] for package in packages.values()]
    assert (kept[0]["min_count"], kept[1]["min_count"]) == (1, 2)
    assert kept[1]["characters"] < 60 < kept[0]["characters"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-mb", "30"], "--max-mb needs --data"),
        (["--data", "DATA", "--max-mb", "0.1"], "give a larger --max-mb"),
    ],
)
def test_wrong_options_print_one_line(run, tmp_path, arguments, message):
    given = [argument.replace("DATA", str(tmp_path)) for argument in arguments]
    result = CliRunner().invoke(app, ["convert", str(run), str(tmp_path / "out"), "--force", *given])
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pieces.json", r"cannot read .*pieces\.json.*copy it from the encoder's folder"),
        ("characters.txt", r"cannot read .*characters\.txt"),
        ("encoder.json", r"cannot read .*encoder\.json"),
        ("teacher.safetensors", "has no weights yet; continue the run with `hanner model teach`"),
    ],
)
def test_missing_file_of_a_run_is_named(run, name, why):
    (run / name).unlink()
    with pytest.raises(ConversionError, match=why):
        read_source(run)


def test_run_with_other_characters_is_rejected(run):
    (run / "characters.txt").write_text("马\n云", "utf-8")
    with pytest.raises(ConversionError, match=r"characters\.weight of shape"):
        read_source(run)


@pytest.mark.parametrize("positions", [42, 16])
def test_run_with_too_few_positions_is_rejected(run, positions):
    encoder = json.loads((run / "encoder.json").read_text()) | {"positions": positions}
    (run / "encoder.json").write_text(json.dumps(encoder))
    with pytest.raises(ConversionError, match=f"max_length is 40, but the encoder has only {positions} positions"):
        read_source(run)


def test_run_with_another_activation_is_rejected(run):
    config = json.loads((run / "teacher.json").read_text("utf-8"))
    config["teach"]["activation"] = "silu"
    (run / "teacher.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ConversionError, match=r"teacher\.json .* a wrong one: activation 'silu'"):
        read_source(run)


def test_package_without_its_characters_is_rejected(run, tmp_path):
    package = convert(read_source(run), tmp_path / "out", name="m", scheme="static", force=True, calibration=TEXTS)
    (package.path / "characters.txt").unlink()
    with pytest.raises(Exception, match=r"characters\.txt is missing"):
        open_package(package.path)


def test_auxiliary_head_is_dropped(run):
    weights = read_source(run).weights
    assert not [name for name in weights if name.startswith("auxiliary")]
    expected = load_file(run / "teacher.safetensors")["head.linear.weight"]
    np.testing.assert_array_equal(weights["linear.weight"], expected)


def test_package_and_run_can_be_fine_tuned(run, tmp_path):
    tagger = read_source(run)
    package = convert(tagger, tmp_path / "out", name="m", scheme="static", force=True, calibration=TEXTS)
    for folder, tolerance in ((run, 0), (package.path, 0.05)):
        base = open_base_model(folder).source
        assert (base.characters, base.labels, base.options) == (tagger.characters, tagger.labels, tagger.options)
        assert base.shape.characters
        assert base.weights.keys() == tagger.weights.keys()
        for name in ("characters.weight", "top.intermediate.dense.weight", "norm.bias", "crf.transitions"):
            value = tagger.weights[name]
            np.testing.assert_allclose(base.weights[name], value, rtol=0, atol=tolerance * np.abs(value).max() + 1e-7)
