"""Distillation with torch on tiny models: `make test-training`."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hanner_inference import load
from hanner_inference.package import Manifest, open_package
from hanner_models.cli import app
from hanner_models.conversion.base_model import open_base_model
from hanner_models.conversion.convert import write_package
from hanner_models.conversion.graph import Fp32
from hanner_models.data.datasets import Sentence, Span, read_sentences
from hanner_models.distil.teacher import Teacher
from hanner_models.evaluation.evaluate import evaluate
from hanner_models.finetune.features import make_features
from hanner_models.finetune.network import make_network
from hanner_models.source import read_source
from hanner_models.train.loop import Phase
from support.taggers import tokens, write_tagger

LETTERS = [token for token in tokens() if len(token) == 1 and "\u4e00" <= token <= "\u9fff"]
TEXT = """
name = "student"
checkpoint_every = 20
[distil]
corpora = ["few.jsonl"]
unlabelled = ["texts.txt:2"]
dev = ["dev.jsonl"]
steps = 120
warmup = 5
batch_tokens = 256
evaluate_every = 60
learning_rate = 3e-3
average_decay = 0.9
replace_share = 0.0
noise_share = 0.0
"""


def sentences(count, seed):
    """Sentences with names of two types; each type has three characters of its own."""
    random = np.random.default_rng(seed)
    result = []
    for _ in range(count):
        kind = int(random.integers(2))
        name = "".join(random.choice(LETTERS[3 * kind : 3 * kind + 3], 2))
        before, after = ("".join(random.choice(LETTERS[6:], n)) for n in (3, 4))
        result.append(Sentence(before + name + after, (Span(("PER", "ORG")[kind], 3, 5),)))
    return result


def write(path, found):
    records = [
        {"text": s.text, "entities": [{"type": p.type, "start": p.start, "end": p.end} for p in s.spans]} for s in found
    ]
    path.write_text("\n".join(map(json.dumps, records)) + "\n", "utf-8")
    return path


def package(tagger, folder):
    source = read_source(tagger)
    manifest = Manifest(name=folder.name, source="tests", revision="", labels=source.labels, tokenizer=source.options)
    return write_package(source, folder, Fp32(), manifest)


def call(command, *arguments):
    return CliRunner().invoke(app, [command, *map(str, arguments)])


@pytest.fixture(scope="module")
def models(tmp_path_factory, tiny_piece_package):
    """A teacher of word pieces that knows both types, and an untrained student of tokens."""
    folder = tmp_path_factory.mktemp("models")
    data, dev = write(folder / "data.jsonl", sentences(120, 1)), write(folder / "dev.jsonl", sentences(30, 2))
    # Until it is sure of its labels: a score is that of the labels B and I, and two labels I are the same span.
    options = ["--steps", "300", "--learning-rate", "3e-3", "--batch-tokens", "256", "--force"]
    done = call("finetune", tiny_piece_package, data, folder / "teacher", "--dev", dev, *options)
    assert done.exit_code == 0, done.output
    package(write_tagger(folder / "tagger"), folder / "student")
    return folder


@pytest.fixture
def data(tmp_path):
    write(tmp_path / "few.jsonl", sentences(4, 3))
    write(tmp_path / "dev.jsonl", sentences(20, 4))
    (tmp_path / "texts.txt").write_text("\n".join(s.text for s in sentences(120, 5)), "utf-8")
    (tmp_path / "distil.toml").write_text(TEXT, "utf-8")
    return tmp_path


def distil(models, data, out, *options):
    models = ["--teacher", models / "teacher", "--student", models / "student"]
    return call("distil", data / "distil.toml", out, "--data", data, *models, "--force", *options)


def test_student_learns_from_texts_that_only_the_teacher_labels(models, data):
    done = distil(models, data, data / "out", "--verify", data / "dev.jsonl")
    assert done.exit_code == 0, done.output
    assert "step 120: F1 " in done.output
    student = open_package(data / "out")
    expected = read_sentences(data / "dev.jsonl")
    assert evaluate(load(models / "student").extract, expected).total.f1 < 0.5
    assert evaluate(load(data / "out").extract, expected).total.f1 > 0.9
    assert student.manifest.name == "student"
    assert student.manifest.labels == ("O", "B-PER", "I-PER", "B-ORG", "I-ORG")
    training = student.manifest.training
    assert training["teacher"] == open_package(models / "teacher").id
    assert training["student"] == open_package(models / "student").id


def test_drawn_labellings_are_those_of_the_package(models):
    texts = [sentence.text for sentence in sentences(40, 6)] + ["", "\u3000"]
    teacher = Teacher(open_package(models / "teacher"))
    drawn = teacher.draw(texts, 50, np.random.default_rng(0))
    assert [[s.text for s in labelling] for labelling in drawn] == [texts] * 50
    for index, entities in enumerate(load(models / "teacher").extract(texts)):
        for entity in entities:
            same = sum(Span(entity.type, entity.start, entity.end) in labelling[index].spans for labelling in drawn)
            assert same / 50 == pytest.approx(entity.score, abs=0.25)


def test_loss_of_several_labellings_is_the_weighted_mean_of_their_losses(models):
    source = open_base_model(str(models / "student")).source
    network, features = make_network(source, dropout=0.0, lora=False), make_features(source)
    one = [Sentence(s.text, ()) for s in sentences(5, 7)]
    batches = [features.build(one), features.build([Sentence(s.text, (Span("LOC", 1, 3),)) for s in one])]
    with torch.no_grad():
        single = [float(network.loss([batch])) for batch in batches]
        mixed = float(network.loss(batches, [0.25, 0.75]))
    assert mixed == pytest.approx(0.25 * single[0] + 0.75 * single[1], rel=1e-5)


def test_interrupted_run_is_resumed_and_gives_the_same_weights(models, data, monkeypatch):
    (data / "distil.toml").write_text(TEXT.replace("steps = 120", "steps = 40"), "utf-8")
    assert distil(models, data, data / "whole").exit_code == 0
    save = Phase.save

    def save_and_stop(phase, step):
        save(phase, step)
        raise KeyboardInterrupt

    monkeypatch.setattr(Phase, "save", save_and_stop)
    stopped = distil(models, data, data / "resumed")
    assert stopped.exit_code == 130
    assert "run the same command again" in stopped.output
    monkeypatch.setattr(Phase, "save", save)
    assert distil(models, data, data / "resumed").exit_code == 0
    states = [torch.load(data / f"{name}.run" / "distil.pt", weights_only=True) for name in ("whole", "resumed")]
    for name, value in states[0]["average"].items():
        torch.testing.assert_close(states[1]["average"][name], value, rtol=1e-4, atol=1e-5)


def test_folder_of_another_run_is_refused(models, data):
    (data / "out.run").mkdir()
    (data / "out.run" / "run.json").write_text("{}", "utf-8")
    done = distil(models, data, data / "out")
    assert done.exit_code == 2
    assert "has an unfinished run" in done.output


def test_teacher_that_is_only_a_tagger_is_refused(models, data):
    done = call("distil", data / "distil.toml", data / "out", "--data", data, "--teacher", models / "tagger")
    assert done.exit_code == 2
    assert "convert it first: hanner model convert" in done.output
