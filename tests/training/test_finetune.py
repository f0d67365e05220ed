"""Fine-tuning with torch: whole runs on tiny models, from labelled files to packages that the worker serves."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from hanner_inference import load
from hanner_inference.package import Manifest, open_package
from hanner_models.cli import app
from hanner_models.conversion.convert import write_package
from hanner_models.conversion.graph import Float
from hanner_models.data.datasets import Sentence, Span, read_sentences
from hanner_models.evaluation.evaluate import evaluate
from hanner_models.finetune import trainer as tune
from hanner_models.finetune.base_model import open_base
from hanner_models.finetune.job import Job
from hanner_models.finetune.labels import labels_for, relabel
from hanner_models.finetune.network import Tuned, to_source
from hanner_models.finetune.options import Options
from hanner_models.finetune.trainer import Tuning, measure
from hanner_models.source import read_source
from hanner_models.train.loop import Phase
from support.servers import redis_server
from support.taggers import change, tokens, write_tagger
from support.workers import foreign_app, worker

LETTERS = [token for token in tokens() if len(token) == 1 and "\u4e00" <= token <= "\u9fff"]
STEPS = Options(steps=60, learning_rate=3e-3, batch_tokens=256, replace_share=0.0)


def sentences(count, kinds=("PER", "ORG")):
    """Sentences in which the first characters of the vocabulary are names of one type, the next ones of the other."""
    random = np.random.default_rng(0)
    made = []
    for _ in range(count):
        kind = int(random.integers(2))
        name = "".join(random.choice(LETTERS[3 * kind : 3 * kind + 3], 2))
        before, after = ("".join(random.choice(LETTERS[6:], n)) for n in (3, 4))
        made.append(Sentence(before + name + after, (Span(kinds[kind], 3, 5),)))
    return made


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


@pytest.fixture
def files(tmp_path):
    return write(tmp_path / "data.jsonl", sentences(80)), write(tmp_path / "dev.jsonl", sentences(100)[80:])


def small_package(tagger, folder):
    source = read_source(tagger)
    manifest = Manifest(name="small", source="tests", revision="", labels=source.labels, tokenizer=source.options)
    return write_package(source, folder, Float(), manifest)


@pytest.mark.parametrize("lora", [False, True])
def test_before_its_first_step_the_network_is_the_base(tagger, lora):
    source = read_source(tagger)
    tuned = Tuned(source, dropout=0.1, lora=lora)
    back = to_source(source, tuned, tuned.state_dict())
    assert back.weights.keys() == source.weights.keys()
    for name, value in source.weights.items():
        np.testing.assert_allclose(back.weights[name], value, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("lora", [False, True])
def test_the_command_ends_as_a_verified_better_package_that_the_worker_serves(tagger, files, tmp_path, lora):
    data, dev = files
    base = small_package(tagger, tmp_path / "base")
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


def test_lora_leaves_the_embeddings_as_they_are_and_a_full_tune_does_not(tagger, tmp_path):
    source = read_source(tagger)
    for lora in (True, False):
        options = Options(lora=lora, steps=3, learning_rate=1e-2)
        tuned = Tuning(source, sentences(20, ("PER", "LOC")), [], options, tmp_path / f"run {lora}").finish()
        changed = {name for name, value in tuned.weights.items() if not np.array_equal(value, source.weights[name])}
        assert "encoder.layer.0.attention.self.query.weight" in changed
        assert "crf.transitions" in changed
        assert ("embeddings.word_embeddings.weight" in changed) != lora


def test_a_blend_lies_between_base_and_tuned(tagger, tmp_path):
    source = read_source(tagger)
    data = sentences(20, ("PER", "LOC"))
    whole, half = (
        Tuning(source, data, [], Options(steps=3, learning_rate=1e-2, blend=share), tmp_path / str(share)).finish()
        for share in (1, 0.5)
    )
    for name, value in source.weights.items():
        np.testing.assert_allclose(half.weights[name], (value + whole.weights[name]) / 2, atol=1e-6, err_msg=name)


def test_types_of_ones_own_are_learned(tagger, tmp_path):
    data = write(tmp_path / "data.jsonl", sentences(80, ("PER", "疾病")))
    out = tmp_path / "own"
    options = Options(steps=150, learning_rate=3e-3, batch_tokens=256)
    outcome = Job(str(tagger), data, out, options, hold_out=0.25, force=True).finish()
    assert outcome.package.manifest.labels == ("O", "B-PER", "I-PER", "B-疾病", "I-疾病")
    assert outcome.after.types["疾病"].f1 > 0.8
    assert outcome.after.types["PER"].f1 > 0.8
    assert outcome.package.manifest.training["new_labels"] == ["B-疾病", "I-疾病"]


class Stopped(KeyboardInterrupt):
    """Someone pressed Ctrl-C."""


def interrupt_at(monkeypatch, step):
    update = Phase._update

    def interrupted(self, run, number, *rest):
        if number == step:
            raise Stopped
        return update(self, run, number, *rest)

    monkeypatch.setattr(Phase, "_update", interrupted)
    return lambda: monkeypatch.setattr(Phase, "_update", update)


@pytest.mark.parametrize("step", [13, 12])
def test_an_interrupted_run_goes_on_to_the_same_weights(tagger, tmp_path, monkeypatch, step):
    source = relabel(read_source(tagger), labels_for(["PER", "ORG"], read_source(tagger).labels))
    options = Options(steps=20, learning_rate=1e-3, batch_tokens=256, patience=20)
    data, dev = sentences(40), sentences(50)[40:]
    one = Tuning(source, data, dev, options, tmp_path / "one")
    undisturbed = one.finish()
    go_on = interrupt_at(monkeypatch, step)
    with pytest.raises(Stopped):
        Tuning(source, data, dev, options, tmp_path / "two").finish()
    go_on()
    two = Tuning(source, data, dev, options, tmp_path / "two")
    resumed = two.finish()
    assert one.history == two.history
    for name, value in undisturbed.weights.items():
        np.testing.assert_array_equal(value, resumed.weights[name], err_msg=name)


def test_a_run_that_stopped_between_checkpoint_and_measure_measures_again(tagger, tmp_path, monkeypatch):
    source = read_source(tagger)
    options = Options(steps=20, learning_rate=1e-3, batch_tokens=256)
    data, dev = sentences(40, ("PER", "LOC")), sentences(50, ("PER", "LOC"))[40:]

    def stopped(source, sentences):
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(tune, "measure", stopped)
        with pytest.raises(Stopped):
            Tuning(source, data, dev, options, tmp_path / "two").finish()
    two = Tuning(source, data, dev, options, tmp_path / "two")
    two.finish()
    one = Tuning(source, data, dev, options, tmp_path / "one")
    one.finish()
    assert one.history == two.history


def test_ctrl_c_says_how_to_go_on_and_other_options_are_refused(tagger, files, tmp_path, monkeypatch):
    data, dev = files
    out = tmp_path / "tuned"
    command = ["finetune", str(tagger), str(data), str(out), "--dev", str(dev), "--steps", "6"]
    go_on = interrupt_at(monkeypatch, 3)
    result = CliRunner().invoke(app, command)
    go_on()
    assert result.exit_code == 130
    assert "the same command goes on" in result.output
    assert not out.exists()
    result = CliRunner().invoke(app, [*command, "--seed", "2"])
    assert result.exit_code == 2
    assert "other options" in result.output
    assert CliRunner().invoke(app, [*command, "--force"]).exit_code == 0
    assert out.exists()


def test_the_best_weights_are_taken_not_the_last(tagger, tmp_path, monkeypatch):
    source = read_source(tagger)
    figures = iter([0.3, 0.7, 0.5, 0.6, 0.6, 0.6, 0.6])

    class Fake:
        def __init__(self):
            self.total = self
            self.f1 = next(figures)

    seen = []

    def fake(source, sentences):
        seen.append(source)
        return Fake()

    monkeypatch.setattr(tune, "measure", fake)
    options = Options(steps=20, learning_rate=1e-3, batch_tokens=64, patience=3)
    data = sentences(40, ("PER", "LOC"))
    tuned = Tuning(source, data, data[:3], options, tmp_path / "run").finish()
    assert len(seen) == 5  # the second was best, and after three more it stopped
    for name, value in tuned.weights.items():
        np.testing.assert_array_equal(value, seen[1].weights[name])


@pytest.mark.parametrize("layout", ["modelscope", "adaseq", "transformers"])
def test_folders_of_other_makers_are_tuned_too(tmp_path, layout):
    labels = ("O", *(f"{prefix}-{kind}" for kind in ("PER",) for prefix in "BIES"), "B-X", "I-X")
    folder = write_tagger(tmp_path / "tagger", layout, crf=layout != "transformers", labels=labels)
    change(folder / "config.json", max_position_embeddings=32)
    source = relabel(read_source(folder), labels_for(["PER", "ORG"], labels))
    assert source.labels[:5] == ("O", "B-PER", "I-PER", "E-PER", "S-PER")
    tuned = Tuning(source, sentences(60), [], STEPS, tmp_path / "run").finish()
    assert measure(tuned, sentences(90)[60:]).total.f1 > 0.6
    assert open_base(folder).source.spans == ("modelscope" if layout == "modelscope" else "conll")
