"""Fine-tuning with torch: whole runs on tiny models, from labelled files to packages that a worker serves."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hanner_inference import load
from hanner_inference.engine.base import Batch, CharacterBatch
from hanner_inference.engine.onnx import OnnxEngine
from hanner_inference.package import Manifest, open_package
from hanner_models.cli import app
from hanner_models.conversion.base_model import open_base_model
from hanner_models.conversion.convert import write_package
from hanner_models.conversion.graph import Fp32
from hanner_models.data.datasets import Sentence, Span, read_sentences
from hanner_models.evaluation.evaluate import evaluate
from hanner_models.finetune import trainer
from hanner_models.finetune.features import make_features
from hanner_models.finetune.labels import relabel, target_labels
from hanner_models.finetune.network import make_network, to_source
from hanner_models.finetune.options import FinetuneOptions
from hanner_models.finetune.run import FinetuneRun
from hanner_models.finetune.trainer import FinetuneTrainer, evaluate_fp32
from hanner_models.source import read_source
from hanner_models.train.loop import Phase
from support.servers import redis_server
from support.taggers import edit_json, tokens, write_tagger
from support.workers import foreign_app, worker

LETTERS = [token for token in tokens() if len(token) == 1 and "\u4e00" <= token <= "\u9fff"]
STEPS = FinetuneOptions(steps=60, learning_rate=3e-3, batch_tokens=256, replace_share=0.0)


def sentences(count, kinds=("PER", "ORG")):
    """Sentences with names of two types; each type has three characters of its own."""
    random = np.random.default_rng(0)
    result = []
    for _ in range(count):
        kind = int(random.integers(2))
        name = "".join(random.choice(LETTERS[3 * kind : 3 * kind + 3], 2))
        before, after = ("".join(random.choice(LETTERS[6:], n)) for n in (3, 4))
        result.append(Sentence(before + name + after, (Span(kinds[kind], 3, 5),)))
    return result


def write(path, found):
    lines = [
        json.dumps({"text": s.text, "entities": [{"type": p.type, "start": p.start, "end": p.end} for p in s.spans]})
        for s in found
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    return write_tagger(tmp_path_factory.mktemp("taggers") / "tagger")


@pytest.fixture(params=["tokens", "characters"])
def source(request, tagger, tiny_piece_package):
    """A tagger of each kind: it labels tokens, or the characters of word pieces."""
    return read_source(tagger) if request.param == "tokens" else open_base_model(tiny_piece_package).source


@pytest.fixture
def files(tmp_path):
    return write(tmp_path / "data.jsonl", sentences(80)), write(tmp_path / "dev.jsonl", sentences(100)[80:])


def small_package(tagger, folder):
    source = read_source(tagger)
    manifest = Manifest(name="small", source="tests", revision="", labels=source.labels, tokenizer=source.options)
    return write_package(source, folder, Fp32(), manifest)


@pytest.mark.parametrize("lora", [False, True])
def test_untrained_network_equals_base(source, lora):
    network = make_network(source, dropout=0.1, lora=lora)
    restored = to_source(source, network, network.state_dict())
    assert restored.weights.keys() == source.weights.keys()
    for name, value in source.weights.items():
        np.testing.assert_allclose(restored.weights[name], value, atol=1e-6, err_msg=name)


def test_calibration_file_replaces_the_data(tagger, files, tmp_path):
    data, dev = files
    options = FinetuneOptions(steps=3, batch_tokens=256)
    base = str(small_package(tagger, tmp_path / "base").path)
    run = FinetuneRun(base, data, tmp_path / "tuned", options, dev=dev, force=True, calibrate=dev)
    assert run.run().package.manifest.quantisation["calibration_texts"] == len(read_sentences(dev))


@pytest.mark.parametrize("kind", ["tokens", "characters"])
@pytest.mark.parametrize("lora", [False, True])
def test_finetune_command_creates_better_package_for_worker(tagger, tiny_piece_package, files, tmp_path, kind, lora):
    data, dev = files
    base = small_package(tagger, tmp_path / "base") if kind == "tokens" else open_package(tiny_piece_package)
    out = tmp_path / "tuned"
    options = ["--steps", "150", "--learning-rate", "3e-3", "--batch-tokens", "256", "--force", *["--lora"] * lora]
    result = CliRunner().invoke(app, ["finetune", str(base.path), str(data), str(out), "--dev", str(dev), *options])
    assert result.exit_code == 0, result.output
    assert "F1, before" in result.output
    package = open_package(out)
    figures = package.manifest.verification
    assert figures["built-in sentences"]["tokens"] > 0
    assert figures["dev.jsonl"]["f1"] > 0.9
    expected = read_sentences(dev)
    assert evaluate(load(base.path).extract, expected).total.f1 < 0.5
    assert package.manifest.labels == ("O", "B-PER", "I-PER", "B-ORG", "I-ORG")
    training = package.manifest.training
    assert training["base"]["name"] == base.id
    assert training["options"]["lora"] == lora
    assert training["data"]["sentences"] == 80
    assert not (tmp_path / "tuned.run").exists()
    options = {"app": "hanner_worker", "env": {"HANNER_MODEL": str(out)}, "ready": False}
    with redis_server() as server, worker(server.url, "-c", "1", **options) as running:
        running.wait_for("ready: model", timeout=120)
        with foreign_app(server.url) as sender:
            answer = sender.send_task("hanner.extract", [expected[0].text]).get(timeout=120)
    found = {(e["type"], e["start"], e["end"]) for e in answer["entities"]}
    assert answer["model"] == package.id
    assert found == {(s.type, s.start, s.end) for s in expected[0].spans}


def test_lora_keeps_embeddings_and_full_finetune_does_not(source, tmp_path):
    for lora in (True, False):
        options = FinetuneOptions(lora=lora, steps=3, learning_rate=1e-2)
        tuned = FinetuneTrainer(source, sentences(20, ("PER", "LOC")), [], options, tmp_path / f"run {lora}").run()
        changed = {name for name, value in tuned.weights.items() if not np.array_equal(value, source.weights[name])}
        assert "encoder.layer.0.attention.self.query.weight" in changed
        assert "crf.transitions" in changed
        assert ("embeddings.word_embeddings.weight" in changed) != lora
        if source.shape.characters:
            assert "top.attention.self.query.weight" in changed
            assert ("characters.weight" in changed) != lora


def test_network_of_a_model_that_labels_characters_has_the_scores_of_its_package(tiny_piece_package):
    base = open_base_model(tiny_piece_package)
    batch = make_features(base.source).build(sentences(5))
    inputs = [torch.from_numpy(array) for array in batch[:-1]]
    with torch.inference_mode():
        scores = make_network(base.source, dropout=0.1, lora=False).eval().tagger(*inputs).numpy()
    rows = Batch(batch.pieces, (batch.pieces != 0).sum(1), CharacterBatch(*batch[1:-1]))
    np.testing.assert_allclose(scores, OnnxEngine(base.package).run(rows), atol=1e-4)


def test_blend_interpolates_base_and_tuned(tagger, tmp_path):
    source = read_source(tagger)
    data = sentences(20, ("PER", "LOC"))
    whole, half = (
        FinetuneTrainer(
            source, data, [], FinetuneOptions(steps=3, learning_rate=1e-2, blend=share), tmp_path / str(share)
        ).run()
        for share in (1, 0.5)
    )
    for name, value in source.weights.items():
        np.testing.assert_allclose(half.weights[name], (value + whole.weights[name]) / 2, atol=1e-6, err_msg=name)


def test_new_types_are_learned(tagger, tmp_path):
    data = write(tmp_path / "data.jsonl", sentences(80, ("PER", "疾病")))
    out = tmp_path / "own"
    options = FinetuneOptions(steps=150, learning_rate=3e-3, batch_tokens=256)
    result = FinetuneRun(str(tagger), data, out, options, hold_out=0.25, force=True).run()
    assert result.package.manifest.labels == ("O", "B-PER", "I-PER", "B-疾病", "I-疾病")
    assert result.after.types["疾病"].f1 > 0.8
    assert result.after.types["PER"].f1 > 0.8
    assert result.package.manifest.training["new_labels"] == ["B-疾病", "I-疾病"]


class Stopped(KeyboardInterrupt):
    """Raised in place of Ctrl-C."""


def interrupt_at(monkeypatch, step):
    update = Phase._update

    def interrupted(self, run, number, *rest):
        if number == step:
            raise Stopped
        return update(self, run, number, *rest)

    monkeypatch.setattr(Phase, "_update", interrupted)
    return lambda: monkeypatch.setattr(Phase, "_update", update)


@pytest.mark.parametrize("step", [13, 12])
def test_resumed_run_gives_same_weights(tagger, tmp_path, monkeypatch, step):
    source = relabel(read_source(tagger), target_labels(["PER", "ORG"], read_source(tagger).labels))
    options = FinetuneOptions(steps=20, learning_rate=1e-3, batch_tokens=256, patience=20)
    data, dev = sentences(40), sentences(50)[40:]
    one = FinetuneTrainer(source, data, dev, options, tmp_path / "one")
    uninterrupted = one.run()
    restore = interrupt_at(monkeypatch, step)
    with pytest.raises(Stopped):
        FinetuneTrainer(source, data, dev, options, tmp_path / "two").run()
    restore()
    two = FinetuneTrainer(source, data, dev, options, tmp_path / "two")
    resumed = two.run()
    assert one.history == two.history
    for name, value in uninterrupted.weights.items():
        np.testing.assert_array_equal(value, resumed.weights[name], err_msg=name)


def test_run_stopped_before_evaluation_evaluates_on_resume(tagger, tmp_path, monkeypatch):
    source = read_source(tagger)
    options = FinetuneOptions(steps=20, learning_rate=1e-3, batch_tokens=256)
    data, dev = sentences(40, ("PER", "LOC")), sentences(50, ("PER", "LOC"))[40:]

    def stopped(source, sentences):
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(trainer, "evaluate_fp32", stopped)
        with pytest.raises(Stopped):
            FinetuneTrainer(source, data, dev, options, tmp_path / "two").run()
    two = FinetuneTrainer(source, data, dev, options, tmp_path / "two")
    two.run()
    one = FinetuneTrainer(source, data, dev, options, tmp_path / "one")
    one.run()
    assert one.history == two.history


def test_interrupt_explains_resume_and_other_options_are_rejected(tagger, files, tmp_path, monkeypatch):
    data, dev = files
    out = tmp_path / "tuned"
    command = ["finetune", str(tagger), str(data), str(out), "--dev", str(dev), "--steps", "6"]
    restore = interrupt_at(monkeypatch, 3)
    result = CliRunner().invoke(app, command)
    restore()
    assert result.exit_code == 130
    assert "run the same command again" in result.output
    assert not out.exists()
    result = CliRunner().invoke(app, [*command, "--seed", "2"])
    assert result.exit_code == 2
    assert "other options" in result.output
    assert CliRunner().invoke(app, [*command, "--force"]).exit_code == 0
    assert out.exists()


def test_best_weights_are_the_result(tagger, tmp_path, monkeypatch):
    source = read_source(tagger)
    figures = iter([0.3, 0.7, 0.5, 0.6, 0.6, 0.6, 0.6])

    class FakeEvaluation:
        def __init__(self):
            self.total = self
            self.f1 = next(figures)

    evaluated = []

    def fake_evaluate(source, sentences):
        evaluated.append(source)
        return FakeEvaluation()

    monkeypatch.setattr(trainer, "evaluate_fp32", fake_evaluate)
    options = FinetuneOptions(steps=20, learning_rate=1e-3, batch_tokens=64, patience=3)
    data = sentences(40, ("PER", "LOC"))
    shown = []
    tuned = FinetuneTrainer(source, data, data[:3], options, tmp_path / "run", progress=shown.append).run()
    assert len(evaluated) == 5  # the second was best, and training stopped after three more
    assert shown[:2] == ["step 2 of 20, F1 0.300", "step 4 of 20, F1 0.700"]
    assert shown[5:] == ["F1 has not improved for a while; the training ends here"]
    for name, value in tuned.weights.items():
        np.testing.assert_array_equal(value, evaluated[1].weights[name])


@pytest.mark.parametrize("layout", ["modelscope", "adaseq", "transformers"])
def test_other_layouts_can_be_finetuned(tmp_path, layout):
    labels = ("O", *(f"{prefix}-{kind}" for kind in ("PER",) for prefix in "BIES"), "B-X", "I-X")
    folder = write_tagger(tmp_path / "tagger", layout, crf=layout != "transformers", labels=labels)
    edit_json(folder / "config.json", max_position_embeddings=32)
    source = relabel(read_source(folder), target_labels(["PER", "ORG"], labels))
    assert source.labels[:5] == ("O", "B-PER", "I-PER", "E-PER", "S-PER")
    tuned = FinetuneTrainer(source, sentences(60), [], STEPS, tmp_path / "run").run()
    assert evaluate_fp32(tuned, sentences(90)[60:]).total.f1 > 0.6
    assert open_base_model(folder).source.spans == ("modelscope" if layout == "modelscope" else "conll")
